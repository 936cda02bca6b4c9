//! `weir mint uuid`

use serde_json::Value;
use weir_mint::Uuid;

use super::output::{each, object};
use super::{Common, Count, Failure};

const AFTER_HELP: &str = "\
Version 4 is random and says nothing. Version 7 begins with the time, so that later ids sort later; it tells when it was
made. Neither is meant for a credential: mint a token for that.

Examples:
  weir mint uuid
  weir mint uuid --v7 -n 3";

/// UUIDs of version 4 or 7 (RFC 9562)
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Version 7, which sorts by time, instead of version 4
    #[arg(long)]
    v7: bool,
    #[command(flatten)]
    count: Count,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    each(&args.common, &args.count, |lines| {
        let uuid = if args.v7 { Uuid::v7()? } else { Uuid::v4()? };
        let text = uuid.to_string();
        let version = uuid.version();
        lines.write(&text, || object([("uuid", Value::from(&*text)), ("version", Value::from(version))]))?;
        Ok(())
    })
}
