//! `baikonur streams scale to`.

use std::process::ExitCode;

use baikonur_scaling::Target;
use baikonur_stream::{ShardId, StreamName};

use super::{Options, What};

/// So many shards of equal width: the whole stream, or some shards of it.
///
/// With --shard the shard is cut into COUNT of equal width and all others stay. Several shards that lie side by side are
/// taken together: `--shard 4 --shard 5` with a COUNT of 1 makes them one.
#[derive(Debug, clap::Args)]
pub(super) struct To {
    /// The stream.
    stream: StreamName,
    /// How many shards.
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// An open shard; may be given more than once.
    #[arg(long = "shard", value_name = "SHARD")]
    shards: Vec<ShardId>,
    #[command(flatten)]
    options: Options,
}

impl To {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let what = match self.shards.is_empty() {
            true => What::Stream(Target::Count(self.count)),
            false => What::Shards(self.shards.into_iter().collect(), self.count),
        };
        self.options.scale(&self.stream, what).await
    }
}
