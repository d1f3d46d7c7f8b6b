//! `baikonur streams`: streams listed, made, described, deleted and scaled, here or on Amazon; a data directory checked.

mod autoscale;
mod create;
mod delete;
mod describe;
mod drawing;
mod ls;
mod scale;
mod verify;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use baikonur_kinesis::{AmazonKinesis, Connection};
use baikonur_stream::{Administer, AdministerError, Clock, StreamName, StreamStatus, SystemClock};
use clap::Subcommand;
use indicatif::ProgressBar;

use crate::client::Endpoint;

/// List, make, describe, delete and scale streams, or check their store.
///
/// Streams are those of a running `baikonur up`, or of any other endpoint that speaks the Kinesis API, or with --aws
/// those of Amazon Kinesis.
#[derive(Debug, clap::Args)]
pub(super) struct Streams {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Ls(ls::Ls),
    Create(create::Create),
    Describe(describe::Describe),
    Delete(delete::Delete),
    Scale(scale::Scale),
    Autoscale(autoscale::Autoscale),
    Verify(verify::Verify),
}

impl Streams {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let runtime = super::runtime()?;
        match self.command {
            Command::Ls(ls) => runtime.block_on(ls.run()),
            Command::Create(create) => runtime.block_on(create.run()),
            Command::Describe(describe) => runtime.block_on(describe.run()),
            Command::Delete(delete) => runtime.block_on(delete.run()),
            Command::Scale(scale) => runtime.block_on(scale.run()),
            Command::Autoscale(autoscale) => runtime.block_on(autoscale.run()),
            Command::Verify(verify) => verify.run(),
        }
    }
}

/// Where the streams are.
#[derive(Debug, clap::Args)]
struct Place {
    #[command(flatten)]
    server: Endpoint,
    /// Amazon Kinesis instead of an endpoint; credentials as the AWS CLI finds them.
    #[arg(long)]
    aws: bool,
    /// The region [default: AWS_REGION, the profile's, or us-east-1].
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// A profile of ~/.aws/config.
    #[arg(long, value_name = "PROFILE", requires = "aws")]
    profile: Option<String>,
}

impl Place {
    async fn connect(&self) -> anyhow::Result<Connection> {
        if self.aws {
            return Ok(Connection::to_amazon(self.region.clone(), self.profile.clone()).await);
        }
        let (mut trusted, mut shown) = (None, String::new());
        if let Some(file) = self.server.ca_file() {
            shown = file.display().to_string();
            trusted = Some(std::fs::read(file).with_context(|| format!("cannot read {shown}"))?);
        }
        let connection =
            Connection::to_endpoint(self.server.url(), self.region.clone(), trusted).await;
        connection.map_err(|error| anyhow::anyhow!("{shown}: {error}"))
    }

    async fn administer(&self) -> anyhow::Result<Arc<dyn Administer>> {
        Ok(Arc::new(AmazonKinesis::new(&self.connect().await?)))
    }

    /// An error with what may help against it.
    fn explained(&self, error: AdministerError) -> anyhow::Error {
        let is_unavailable = matches!(error, AdministerError::Unavailable(_));
        let error = anyhow::Error::from(error);
        match (is_unavailable, self.aws) {
            (true, false) => error.context(format!(
                "no use of the streams at {}; is `baikonur up` running there?",
                self.server.url()
            )),
            _ => error,
        }
    }
}

/// Whether to wait until a change is done.
#[derive(Debug, clap::Args)]
struct Patience {
    /// Do not wait until it is done.
    #[arg(long)]
    no_wait: bool,
    /// How long to wait at most.
    #[arg(long, value_name = "SECONDS", default_value = "600")]
    timeout: u64,
}

impl Patience {
    fn limit(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Waits until a stream is ACTIVE, or until it is gone.
async fn wait(
    administer: &dyn Administer,
    name: &StreamName,
    gone: bool,
    limit: Duration,
) -> anyhow::Result<()> {
    let clock = SystemClock::new();
    let spinner = ProgressBar::new_spinner();
    spinner.enable_steady_tick(LOOK_INTERVAL);
    loop {
        let status = match administer.describe_stream(name).await {
            Ok(stream) => stream.status,
            Err(AdministerError::StreamNotFound(_)) if gone => break,
            Err(error) => return Err(error.into()),
        };
        if !gone && status == StreamStatus::Active {
            break;
        }
        spinner.set_message(format!("{name} is {}", status_name(status)));
        if clock.monotonic() > limit {
            return Err(anyhow::anyhow!("it is {} still", status_name(status)))
                .with_context(|| format!("{name} is not done after {} s", limit.as_secs()));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    spinner.finish_and_clear();
    Ok(())
}

/// The API's word.
fn status_name(status: StreamStatus) -> &'static str {
    match status {
        StreamStatus::Creating => "CREATING",
        StreamStatus::Active => "ACTIVE",
        StreamStatus::Updating => "UPDATING",
        StreamStatus::Deleting => "DELETING",
    }
}
