//! What ldap-auth reads: the answers of directory servers, and the credentials that clients show, which never get out of
//! the place that they have in a distinguished name.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| weir_plugins::fuzzing::ldap_auth(data));
