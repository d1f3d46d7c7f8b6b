//! `baikonur streams delete`.

use std::process::ExitCode;

use baikonur_stream::StreamName;

use super::{Patience, Place, wait};

/// Delete a stream and all records in it.
#[derive(Debug, clap::Args)]
pub(super) struct Delete {
    /// The stream.
    stream: StreamName,
    /// Also if it has consumers with enhanced fan-out.
    #[arg(long)]
    with_consumers: bool,
    /// Mean it: asked for where the stream is Amazon's.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    place: Place,
}

impl Delete {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let name = &self.stream;
        if self.place.aws && !self.yes {
            anyhow::bail!("{name} on Amazon Kinesis would be lost with its records: add --yes");
        }
        let administer = self.place.administer().await?;
        let deleted = administer.delete_stream(name, self.with_consumers).await;
        deleted.map_err(|error| self.place.explained(error))?;
        if !self.patience.no_wait {
            wait(&*administer, name, true, self.patience.limit()).await?;
        }
        println!("stream {name} deleted");
        Ok(ExitCode::SUCCESS)
    }
}
