//! `weir mint password`

use clap::ValueEnum;
use serde_json::Value;
use weir_mint::{CharacterClass, Password};

use super::output::{bits, each, object};
use super::{Common, Count, Failure};

const AFTER_HELP: &str = "\
A password has at least one character of each class. Words come from the Electronic Frontier Foundation's list of 7776
words (CC BY 3.0 US): 12.9 bits each.

Examples:
  weir mint password                                   20 characters
  weir mint password --length 12 --classes lower,digit --unambiguous
  weir mint password --words 6 --json                  a passphrase and its strength";

/// Passwords of characters or words
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Characters in each
    #[arg(short, long, value_name = "N", default_value_t = 20)]
    length: usize,
    /// Classes of characters
    #[arg(short, long, value_enum, value_delimiter = ',', default_values_t = Class::ALL)]
    classes: Vec<Class>,
    /// Leave out characters that are easily misread, such as 0 and O
    #[arg(long)]
    unambiguous: bool,
    /// Words instead of characters
    #[arg(short, long, value_name = "N", conflicts_with_all = ["length", "classes", "unambiguous"])]
    words: Option<usize>,
    /// Text between words
    #[arg(short, long, value_name = "TEXT", default_value = "-", requires = "words")]
    separator: String,
    #[command(flatten)]
    count: Count,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, ValueEnum)]
enum Class {
    Lower,
    Upper,
    Digit,
    Symbol,
}

impl Class {
    const ALL: [Self; 4] = [Self::Lower, Self::Upper, Self::Digit, Self::Symbol];
}

impl From<Class> for CharacterClass {
    fn from(class: Class) -> Self {
        match class {
            Class::Lower => Self::Lower,
            Class::Upper => Self::Upper,
            Class::Digit => Self::Digit,
            Class::Symbol => Self::Symbol,
        }
    }
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let password = match args.words {
        Some(count) => Password::words(count, &args.separator),
        None => {
            let classes: Vec<CharacterClass> = args.classes.iter().map(|class| (*class).into()).collect();
            Password::characters(args.length, &classes, args.unambiguous)
        }
    };
    let password = password.map_err(|error| Failure::Usage(error.to_string()))?;
    let strength = bits(password.strength_bits());
    each(&args.common, &args.count, |lines| {
        let secret = password.mint()?;
        let text = secret.expose();
        lines
            .write(text, || object([("password", Value::from(text)), ("strength_bits", strength.clone())]))?;
        Ok(())
    })
}
