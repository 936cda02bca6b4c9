//! `weir mint token`

use clap::ValueEnum;
use serde_json::Value;
use weir_mint::scannable::Kind;
use weir_mint::{Alphabet, Token};

use super::output::{bits, each, object};
use super::{Common, Count, Failure};

const AFTER_HELP: &str = "\
Prefix and checksum add no strength: they let a secret scanner recognise a leaked key. docs/tokens.md describes the
form that --kind makes.

Examples:
  weir mint token                                 32 characters of base62, 190.5 bits
  weir mint token --bits 256 --alphabet hex       64 hexadecimal digits
  weir mint token --kind key                      weir_key_ and 38 characters, checksum included
  weir mint token --prefix acme_ --checksum       the same idea under a name of your own
  weir mint token --characters ACGT --length 20   twenty letters out of four";

/// Opaque tokens, such as API keys and session ids
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Random characters in each [default: 32]
    #[arg(short, long, value_name = "N")]
    length: Option<usize>,
    /// As many characters as at least so many bits take
    #[arg(short, long, value_name = "N", conflicts_with = "length")]
    bits: Option<u32>,
    /// Which characters
    #[arg(short, long, value_enum, default_value_t = Named::Base62)]
    alphabet: Named,
    /// Characters of your own: printable ASCII, each once
    #[arg(long, value_name = "CHARACTERS", conflicts_with = "alphabet")]
    characters: Option<String>,
    /// Text before the random characters
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// Six characters of checksum after them (CRC-32 in base62)
    #[arg(long)]
    checksum: bool,
    /// A key that secret scanners recognise: weir_KIND_...
    #[arg(
        short,
        long,
        value_name = "KIND",
        conflicts_with_all = ["length", "bits", "alphabet", "characters", "prefix", "checksum"]
    )]
    kind: Option<String>,
    #[command(flatten)]
    count: Count,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, ValueEnum)]
enum Named {
    /// 0-9A-Za-z
    Base62,
    /// A-Za-z0-9-_
    Base64url,
    /// 0-9a-f
    Hex,
    /// A-Z2-7
    Base32,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let token = args.token()?;
    let strength = bits(token.strength_bits());
    each(&args.common, &args.count, |lines| {
        let secret = token.mint()?;
        let text = secret.expose();
        lines.write(text, || object([("token", Value::from(text)), ("strength_bits", strength.clone())]))?;
        Ok(())
    })
}

impl Args {
    fn token(&self) -> Result<Token, Failure> {
        if let Some(kind) = &self.kind {
            let kind = Kind::new(kind).map_err(|error| Failure::Usage(error.to_string()))?;
            return Ok(kind.token());
        }
        let mut builder = Token::builder().alphabet(self.alphabet()?).checksum(self.checksum);
        if let Some(length) = self.length {
            builder = builder.length(length);
        }
        if let Some(bits) = self.bits {
            builder = builder.bits(bits);
        }
        if let Some(prefix) = &self.prefix {
            builder = builder.prefix(prefix);
        }
        builder.build().map_err(|error| Failure::Usage(error.to_string()))
    }

    fn alphabet(&self) -> Result<Alphabet, Failure> {
        if let Some(characters) = &self.characters {
            return Alphabet::custom(characters).map_err(|error| Failure::Usage(error.to_string()));
        }
        Ok(match self.alphabet {
            Named::Base62 => Alphabet::Base62,
            Named::Base64url => Alphabet::Base64Url,
            Named::Hex => Alphabet::Hex,
            Named::Base32 => Alphabet::Base32,
        })
    }
}
