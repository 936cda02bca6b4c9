//! Tokens, keys and UUIDs.
//!
//! A text is written with a zero at its end. It is fitted before anything is drawn: with too little room, nothing is. All
//! answer at once, `-EAGAIN` while the kernel's generator is not ready.

use std::ffi::{c_char, c_int};

use weir_mint::{Alphabet, Characters, Token, Uuid, scannable};

use crate::memory;
use crate::result::{Failure, Outcome, answer};

/// Characters of the default credential.
const KEY_CHARACTERS: usize = 32;
/// More characters than printable ASCII has without the space are not each there once.
const MOST_CHARACTERS: usize = 94;

/// The alphabets that weir-mint computes instead of reading the list, as `weir.h` spells them.
const KNOWN: [(&str, Alphabet); 4] = [
    ("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", Alphabet::Base62),
    ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", Alphabet::Base64Url),
    ("0123456789abcdef", Alphabet::Hex),
    ("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", Alphabet::Base32),
];

/// A token of `length` characters out of `alphabet`; null stands for base62.
///
/// # Safety
/// `out` points to `cap` bytes that may be written, or is null; `alphabet` to a text with a zero at its end, or is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weir_token(
    out: *mut c_char,
    cap: usize,
    length: usize,
    alphabet: *const c_char,
) -> c_int {
    // SAFETY: this function's own contract; null is not read.
    let alphabet = (!alphabet.is_null()).then(|| unsafe { memory::text(alphabet, MOST_CHARACTERS) });
    let draw = |token: &mut [u8]| match alphabet {
        None => Ok(Alphabet::Base62.fill(token)?),
        Some(characters) => fill_from(characters?, token),
    };
    // SAFETY: this function's own contract.
    unsafe { write(out, cap, length, draw) }
}

/// The default credential: 32 characters of base62.
///
/// # Safety
/// `out` points to `cap` bytes that may be written, or is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weir_key(out: *mut c_char, cap: usize) -> c_int {
    // SAFETY: this function's own contract.
    unsafe { write(out, cap, KEY_CHARACTERS, |key| Ok(Alphabet::Base62.fill(key)?)) }
}

/// A key that secret scanners recognise: `weir_<kind>_…`.
///
/// # Safety
/// `out` points to `cap` bytes that may be written, or is null; `kind` to a text with a zero at its end, or is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weir_scannable(out: *mut c_char, cap: usize, kind: *const c_char) -> c_int {
    // SAFETY: this function's own contract.
    let kind = unsafe { memory::text(kind, scannable::MAX_BYTES) };
    // Of a text that is no kind there is no key, so that its length does not matter.
    let length = kind.ok().and_then(scannable::length).unwrap_or(1);
    let draw = |key: &mut [u8]| Ok(scannable::fill(kind?, key).map(|_| ())?);
    // SAFETY: this function's own contract.
    unsafe { write(out, cap, length, draw) }
}

/// A UUID of version 4 as text.
///
/// # Safety
/// `out` points to `cap` bytes that may be written, or is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weir_uuid_v4(out: *mut c_char, cap: usize) -> c_int {
    // SAFETY: this function's own contract.
    unsafe { write(out, cap, UUID_CHARACTERS, |text| uuid_text(text, Uuid::v4)) }
}

/// A UUID of version 7 as text.
///
/// # Safety
/// As [`weir_uuid_v4`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weir_uuid_v7(out: *mut c_char, cap: usize) -> c_int {
    // SAFETY: this function's own contract.
    unsafe { write(out, cap, UUID_CHARACTERS, |text| uuid_text(text, Uuid::v7)) }
}

/// The 16 bytes of a UUID of version 4.
///
/// # Safety
/// `out` points to 16 bytes that may be written, or is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weir_uuid_v4_bytes(out: *mut u8) -> c_int {
    // SAFETY: this function's own contract.
    unsafe { uuid_bytes(out, Uuid::v4) }
}

/// The 16 bytes of a UUID of version 7.
///
/// # Safety
/// As [`weir_uuid_v4_bytes`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weir_uuid_v7_bytes(out: *mut u8) -> c_int {
    // SAFETY: this function's own contract.
    unsafe { uuid_bytes(out, Uuid::v7) }
}

const UUID_CHARACTERS: usize = 36;
const UUID_BYTES: usize = 16;

type MintUuid = fn() -> Result<Uuid, weir_mint::Error>;

fn uuid_text(text: &mut [u8], mint: MintUuid) -> Outcome<()> {
    text.copy_from_slice(&mint()?.text());
    Ok(())
}

/// # Safety
/// As [`weir_uuid_v4_bytes`].
unsafe fn uuid_bytes(out: *mut u8, mint: MintUuid) -> c_int {
    // SAFETY: this function's own contract.
    answer(unsafe { memory::output(out, UUID_BYTES) }.and_then(|out| {
        out.fill(0);
        weir_kernel::ready()?;
        out.copy_from_slice(mint()?.as_bytes());
        Ok(())
    }))
}

/// Fills a token from an alphabet that was spelled out.
fn fill_from(characters: &str, token: &mut [u8]) -> Outcome<()> {
    match KNOWN.iter().find(|(known, _)| *known == characters) {
        Some((_, alphabet)) => Ok(alphabet.fill(token)?),
        None => Ok(Characters::new(characters).map_err(|_| Failure::INVALID)?.fill(token)?),
    }
}

/// Writes a text of `length` characters that `mint` makes, and a zero; an empty text if it cannot be made.
///
/// # Safety
/// `out` points to `cap` bytes that may be written, or is null.
unsafe fn write(
    out: *mut c_char,
    cap: usize,
    length: usize,
    mint: impl FnOnce(&mut [u8]) -> Outcome<()>,
) -> c_int {
    let whole = length.saturating_add(1);
    // SAFETY: this function's own contract; no more than `cap` bytes.
    answer(unsafe { memory::output(out.cast(), cap.min(whole)) }.and_then(|out| {
        let minted = match out.split_last_mut() {
            _ if !(1..=Token::MAX_CHARACTERS).contains(&length) => Err(Failure::INVALID),
            Some((end, text)) if text.len() == length => {
                *end = 0;
                weir_kernel::ready().map_err(Failure::from).and_then(|()| mint(text))
            }
            _ => Err(Failure::NO_ROOM),
        };
        if minted.is_err() {
            out.fill(0);
        }
        minted
    }))
}
