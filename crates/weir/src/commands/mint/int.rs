//! `weir mint int`

use serde_json::Value;

use super::output::{each, object};
use super::{Common, Count, Failure};

const AFTER_HELP: &str = "\
Both ends belong to the range, and each number is equally likely.

Examples:
  weir mint int 1 6               a die
  weir mint int -10 10 -n 3       a range that begins below zero
  weir mint int 49152 65535       a port";

/// Uniform integers of a range
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// The least
    #[arg(allow_negative_numbers = true)]
    low: i128,
    /// The greatest
    #[arg(allow_negative_numbers = true)]
    high: i128,
    #[command(flatten)]
    count: Count,
    #[command(flatten)]
    common: Common,
}

/// A range that 64 bits hold.
enum Range {
    Signed(i64, i64),
    Unsigned(u64, u64),
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let range = args.range()?;
    each(&args.common, &args.count, |lines| {
        let (text, value) = match range {
            Range::Signed(low, high) => {
                let number = weir_mint::uniform_signed(low..=high)?;
                (number.to_string(), Value::from(number))
            }
            Range::Unsigned(low, high) => {
                let number = weir_mint::uniform(low..=high)?;
                (number.to_string(), Value::from(number))
            }
        };
        lines.write(&text, || object([("int", value)]))?;
        Ok(())
    })
}

impl Args {
    fn range(&self) -> Result<Range, Failure> {
        if self.low > self.high {
            return Err(Failure::Usage(format!("the range from {} to {} is empty", self.low, self.high)));
        }
        if let (Ok(low), Ok(high)) = (self.low.try_into(), self.high.try_into()) {
            return Ok(Range::Signed(low, high));
        }
        if let (Ok(low), Ok(high)) = (self.low.try_into(), self.high.try_into()) {
            return Ok(Range::Unsigned(low, high));
        }
        Err(Failure::Usage("both ends of a range must fit 64 bits, with or without a sign".to_owned()))
    }
}
