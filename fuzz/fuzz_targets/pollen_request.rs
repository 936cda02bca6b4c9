//! What clients of the seed server send. What is understood holds a challenge of a bounded length, and means the same when it is
//! written down again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_seed::pollen::{Challenge, Request};

const KINDS: [Option<&str>; 3] = [None, Some("application/x-www-form-urlencoded"), Some("application/json")];

fuzz_target!(|data: &[u8]| {
    let [choice, data @ ..] = data else { return };
    let (head, body) = data.split_at(usize::from(*choice >> 2).min(data.len()));
    let head = std::str::from_utf8(head).ok();
    let kind = if choice & 3 == 3 { head } else { KINDS[usize::from(choice & 3)] };
    let Ok(request) = Request::read(kind, head, head, body) else { return };
    let challenge = request.challenge.expose();
    assert!((1..=Challenge::MAX_BYTES).contains(&challenge.len()));
    let mut form = b"challenge=".to_vec();
    challenge.iter().for_each(|byte| form.extend(format!("%{byte:02X}").bytes()));
    let again = Request::read(KINDS[1], None, None, &form).unwrap();
    assert!(again.challenge == request.challenge);
});
