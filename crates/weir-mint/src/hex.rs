//! Bytes written as hexadecimal digits.

/// The bytes that these digits stand for, if there are exactly as many as it takes, and nothing else.
#[must_use]
pub fn decode<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut bytes = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_nothing_else() {
        assert_eq!(decode::<3>(b"00fF7a"), Some([0, 255, 0x7a]));
        for bad in [&b""[..], b"00ff7", b"00ff7a0", b"00ff7g", b"00ff+a", b" 00ff7"] {
            assert_eq!(decode::<3>(bad), None);
        }
    }
}
