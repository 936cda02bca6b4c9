//! What servers of seeds say, to the last byte and cut anywhere. A whole answer is the same however its bytes arrive, and what
//! is taken for a seed has a seed's length.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_seed::Seed;
use weir_seed::fetch::config::Config;
use weir_seed::fetch::{MAX_BYTES, Server, reply};
use weir_seed::pollen::{Challenge, read_answer};

fuzz_target!(|data: &[u8]| {
    let [choice, data @ ..] = data else { return };
    let challenge = Challenge::new(b"abc").unwrap();
    let whole = reply(data, true);
    if let Ok(Some(whole)) = &whole {
        assert!(whole.body.len() <= MAX_BYTES && !whole.kind.contains(char::is_control));
        let _ = read_answer(&whole.body, &challenge);
    }
    // What is complete before the end stays as it is, whatever follows.
    let early = data.get(..usize::from(*choice)).unwrap_or(data);
    if let (Ok(Some(early)), Ok(Some(whole))) = (reply(early, false), whole) {
        assert!(early.body == whole.body && early.status == whole.status);
    }
    if let Ok(seed) = read_answer(data, &challenge) {
        assert!((Seed::MIN_BYTES..=Seed::MAX_BYTES).contains(&seed.expose().len()));
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Config::parse(text);
        if let Ok(server) = text.parse::<Server>() {
            assert_eq!(server.to_string().parse(), Ok(server));
        }
    }
});
