//! Merging changes nothing but what it is asked to.

use proptest::prelude::*;
use weir_seed::document::{meta_data, user_data};

use super::{PLAIN, REPLACE, filled, merged, seed};

/// What is added, in block style, where lines end with `end`.
fn block(indent: &str, end: &str) -> String {
    let seed = seed().base64().to_string();
    ["random_seed:", "  file: /dev/urandom", &format!("  data: \"{seed}\""), "  encoding: base64"]
        .map(|line| format!("{indent}{line}"))
        .join(end)
}

fn flow() -> String {
    let seed = seed().base64().to_string();
    format!(r#""random_seed": {{"file": "/dev/urandom", "data": "{seed}", "encoding": "base64"}}"#)
}

/// `@` in a document stands for where the new text is expected, with its line end.
#[track_caller]
fn goes_in(document: &str, added: &str) {
    let (before, after) = document.split_once('@').unwrap();
    let result = merged(&format!("{before}{after}"), PLAIN).unwrap();
    assert_eq!(result, format!("{before}{added}{after}"), "{document:?}");
}

#[test]
fn a_block_goes_above_the_first_key_and_what_is_said_about_it() {
    let line = block("", "\n") + "\n";
    goes_in("#cloud-config\n@a: 1\n", &line);
    goes_in("#cloud-config\n\n@# about a\n# too\na: 1 # x", &line);
    goes_in("#cloud-config\n# about all of it\n\n# about nothing\n \n@a: 1 # x", &line);
    goes_in(" \n#Cloud-Config # and more\n@a: |+\n  text\n\n", &line);
    goes_in("#cloud-config\n---\n@# c\na: 1\n...\n", &line);
    goes_in("#cloud-config\n%YAML 1.1\n---\n@a: |\n  no line end", &line);
    goes_in("#cloud-config\n&root\n@a: &x 1\nb: *x\n", &line);
    goes_in("#cloud-config\n@? a\n: b\n", &line);
    goes_in("#cloud-config\n@é: \"ü\"\n\u{1F600}: {x: [1,\n 2]}\n", &line);
    goes_in("#cloud-config\n@  a: 1\n  b:\n    - c\n", &(block("  ", "\n") + "\n"));
    goes_in("#cloud-config\r\n@a: 1\r\nb: 2\r\n", &(block("", "\r\n") + "\r\n"));
}

#[test]
fn a_document_without_keys_gets_its_first() {
    goes_in("#cloud-config\n@", &(block("", "\n") + "\n"));
    goes_in("#cloud-config@", &("\n".to_owned() + &block("", "\n")));
    goes_in("#cloud-config\n# only\n# comments@", &("\n".to_owned() + &block("", "\n")));
    goes_in("#cloud-config\n---@", &("\n".to_owned() + &block("", "\n")));
    goes_in("#cloud-config\n---\n@...\n", &(block("", "\n") + "\n"));
    let new = format!("#cloud-config\n{}\n", block("", "\n"));
    assert_eq!(merged("", PLAIN).unwrap(), new);
    assert_eq!(merged(" \n", PLAIN).unwrap(), new);
}

#[test]
fn braces_get_it_inside() {
    goes_in("#cloud-config\n{@}\n", &flow());
    goes_in("#cloud-config\n--- {@a: 1, b: [2]} # c", &(flow() + ", "));
    goes_in("#cloud-config\n{@\n  \"a\": 1,\n}", &(flow() + ", "));
    goes_in("#cloud-config\n{@ # c\n}", &flow());
}

#[test]
fn an_old_seed_is_replaced_only_if_that_is_wanted_and_nothing_else_is() {
    for (before, old, after) in [
        ("#cloud-config\na: 1\n# c\n", "random_seed: {data: x, encoding: raw} # y", "\nb: 2\n"),
        ("#cloud-config\n", "random_seed:\n  data: |\n    abc\n\n    # no comment", "\n\n# c\nb: 2\n"),
        ("#cloud-config\n", "\"random_seed\":\n    file: /x\n    command:\n    - a\n    - b", "\n"),
        ("#cloud-config\na: 1\n", "random_seed:", ""),
        ("#cloud-config\na: 1\n", "random_seed: {data: [1,\n  2],\n  # c\n  }", "\nb: 1"),
        ("#cloud-config\n", "random_seed: &x {data: z}", "\nb: &y 1\nc: *y\n"),
        ("#cloud-config\n", "random_seed:\n  data: >-\n    folded\n    text", "\n\n\n"),
    ] {
        let document = format!("{before}{old}{after}");
        let error = merged(&document, PLAIN).unwrap_err();
        assert_eq!(error.to_string(), "random_seed is there already", "{document:?}");
        let line = 1 + before.matches('\n').count();
        assert_eq!(error.place().unwrap().to_string(), format!("{line}:1"));
        assert_eq!(
            merged(&document, REPLACE).unwrap_or_else(|e| panic!("{document:?}: {e}")),
            format!("{before}{}{after}", block("", "\n")),
            "{document:?}"
        );
    }
    let document = "#cloud-config\n{a: 1, random_seed: {data: [x]} , b: 2}";
    let replaced = format!("#cloud-config\n{{a: 1, {} , b: 2}}", flow());
    assert_eq!(merged(document, REPLACE).unwrap(), replaced);
    // Deeper down it is another's.
    assert!(merged("#cloud-config\na:\n  random_seed: 1\n", PLAIN).is_ok());
}

#[test]
fn what_cannot_be_replaced_safely_is_left_alone() {
    for document in
        ["#cloud-config\nrandom_seed: &x {data: z}\nb: *x\n", "#cloud-config\n{random_seed: , a: 1}\n"]
    {
        let error = merged(document, REPLACE).unwrap_err().to_string();
        assert!(error.contains("take the old one out by hand"), "{error}");
    }
}

#[test]
fn what_comes_by_a_merge_key_is_not_overridden() {
    let document = "#cloud-config\nx: &x {random_seed: {data: y}}\n<<: *x\n";
    assert!(merged(document, PLAIN).unwrap_err().to_string().contains("merge key"));
    assert!(merged("#cloud-config\nx: &x {a: 1}\n<<: *x\n", PLAIN).is_ok());
}

#[test]
fn what_is_wrong_has_a_place() {
    for (document, place, why) in [
        ("#cloud-config\na: [1\nb: 2\n", "3:2", "':'"),
        ("#cloud-config\na: 1\n\tb: 2\n", "2:4", "tab"),
        ("#cloud-config\na: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n", "6:3", "first on line 4"),
        ("#cloud-config\n\"a\": 1\na: 2\n", "3:1", "a is here a second time"),
        ("#cloud-config\na: 1\n---\nb: 2\n", "3:1", "second document"),
        ("#cloud-config\n- a\n", "2:1", "a list"),
        ("#cloud-config\njust text\n", "2:1", "a value"),
        ("#cloud-config\nnull\n", "2:1", "a value"),
        ("#cloud-config\na: *b\n", "2:4", "anchor"),
        ("#cloud-config\na: 1\n? [1,2]\n: z\n", "3:3", "a list is no key"),
        ("#cloud-config\nb: {? {x: 1} : z}\n", "2:7", "no key"),
        ("#cloud-config\na: &a [1]\nb:\n  *a : 1\n", "4:3", "no key"),
        ("#cloud-config\na: &a\n  b: *a\n", "3:6", "what it is in"),
        ("#cloud-config\na: &a [1, [*a]]\n", "2:12", "what it is in"),
        ("#cloud-config\n\ta: 1\n", "2:2", "spaces"),
        ("#cloud-config\na: 1\n\0random_seed: 1\n", "3:1", "zero"),
        ("users: []\n", "1:1", "would not know what this is"),
        ("\u{feff}#cloud-config\n", "1:1", "byte order mark"),
        ("{\"ignition\": {}}", "1:1", "for Ignition"),
        ("Content-Type: multipart/mixed; boundary=b\n\n--b--\n", "1:1", "MIME-Version"),
        ("## template: jinja\n#cloud-config\nrandom_seed: {{ x }}\n", "3:1", "template"),
        ("#cloud-config-archive\n- content: |\n    #cloud-config\n    random_seed: 1\n", "4:5", "archive"),
    ] {
        let error = merged(document, PLAIN).unwrap_err();
        let found = error.place().map(|place| place.to_string()).unwrap_or_default();
        assert!(
            found.starts_with(place) && error.to_string().contains(why),
            "{document:?}: {found}: {error}"
        );
    }
    let bytes = b"#cloud-config\na: \"\xc3\xa9\xff\"\n";
    let error = user_data::merge(bytes, PLAIN).unwrap_err();
    assert_eq!(
        (error.place().unwrap().to_string(), error.to_string()),
        ("2:6".into(), "this is not UTF-8".into())
    );
    let error = user_data::merge(b"\x1f\x8b\x08\0", PLAIN).unwrap_err().to_string();
    assert!(error.contains("gzip -dc"), "{error}");
    assert!(user_data::merge(&vec![b' '; (1 << 20) + 1], PLAIN).unwrap_err().to_string().contains("1048577"));
    let deep = format!("#cloud-config\na: {}{}", "[".repeat(500), "]".repeat(500));
    assert!(merged(&deep, PLAIN).unwrap_err().to_string().contains("limit"));
    let deep = format!("#cloud-config\na:\n {}b", "- ".repeat(200));
    assert!(merged(&deep, PLAIN).unwrap_err().to_string().contains("nested too deeply"));
}

#[test]
fn metadata_gets_a_seed_in_its_own_form() {
    let seed = seed().base64().to_string();
    let nocloud =
        |text: &str| meta_data::merge_nocloud(text.as_bytes(), PLAIN).map(|template| filled(&template));
    let new = meta_data::nocloud("i-1", Some("web1"));
    assert_eq!(
        nocloud(&new).unwrap(),
        format!("random_seed: \"{seed}\"\ninstance-id: \"i-1\"\nlocal-hostname: \"web1\"\n")
    );
    assert_eq!(
        nocloud("{instance-id: x}").unwrap(),
        format!("{{\"random_seed\": \"{seed}\", instance-id: x}}")
    );
    let openstack = |text: &str, options| {
        meta_data::merge_openstack(text.as_bytes(), options).map(|template| filled(&template))
    };
    let new = meta_data::openstack("u", None);
    assert_eq!(
        openstack(&new, PLAIN).unwrap(),
        format!("{{\n  \"uuid\": \"u\",\n  \"random_seed\": \"{seed}\"\n}}\n")
    );
    assert_eq!(openstack("{ }", PLAIN).unwrap(), format!("{{\"random_seed\": \"{seed}\" }}"));
    let old = "{\"a\": 1e400, \"random_seed\" : \"x\" , \"b\":2}";
    assert!(openstack(old, PLAIN).is_err());
    let old = "{\"a\": 1.10, \"random_seed\" : \"x\" , \"b\":2}";
    assert_eq!(openstack(old, PLAIN).unwrap_err().to_string(), "random_seed is there already");
    assert_eq!(openstack(old, REPLACE).unwrap(), old.replace("\"x\"", &format!("\"{seed}\"")));
    assert!(openstack("[]", PLAIN).is_err());
}

#[test]
fn an_instance_id_is_a_uuid_of_version_4() {
    let id = meta_data::instance_id().unwrap();
    assert_eq!(id.len(), 36);
    assert_eq!(id.as_bytes()[14], b'4');
    assert!(b"89ab".contains(&id.as_bytes()[19]), "{id}");
    assert!(meta_data::check_instance_id(&id).is_ok());
    assert!(meta_data::check_hostname("web-1.example.org").is_ok());
    for bad in ["", "a_b", "-a", "a.", "a b", &"a".repeat(64)] {
        assert!(meta_data::check_hostname(bad).is_err(), "{bad:?}");
    }
}

/// Documents with all that YAML has: enough of a grammar to come upon trouble.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,5}",
        "'[a-zé #:]{0,6}'",
        "\"[a-z #:,{}]{0,6}\"",
        Just("{x: 1, y: [2, {z: 3}]}".to_owned()),
        Just("&a {x: 1}".to_owned()),
        Just("*a".to_owned()),
        Just("\n  - a\n  -  b: 1\n     c: 2".to_owned()),
        Just("\n- a\n# c\n- b".to_owned()),
        Just("|\n  text\n  # no comment\n\n".to_owned()),
        Just("|+\n  text\n\n".to_owned()),
        Just(">-\n  folded\n  text".to_owned()),
        Just("\n  x: {a: 1,\n    b: 2}".to_owned()),
        Just("two\n  lines".to_owned()),
        Just("!!str 1".to_owned()),
        Just(String::new()),
    ]
}

prop_compose! {
    fn document()(
        head in prop_oneof![Just("#cloud-config\n"), Just("#cloud-config\n---\n"), Just("#cloud-config\n# c\n\n")],
        entries in prop::collection::vec(("[a-e]|random_seed", value(), prop_oneof![Just(""), Just(" # c"), Just("\n\n# c")]), 0..6),
        end in prop_oneof![Just("\n"), Just(""), Just("\n...\n"), Just("\n\n")],
        crlf in any::<bool>(),
    ) -> String {
        let mut text = head.to_owned();
        for (key, value, comment) in &entries {
            text += &format!("{key}: {value}{}\n", if value.contains('\n') { "" } else { comment });
        }
        text.pop();
        text += end;
        if crlf { text.replace('\n', "\r\n") } else { text }
    }
}

proptest! {
    /// Taking out what was put in gives back what there was, to the byte.
    #[test]
    fn everything_else_stays_to_the_byte(document in document()) {
        if let Ok(result) = merged(&document, PLAIN) {
            let end = if document.contains("\r\n") { "\r\n" } else { "\n" };
            let added = block("", end);
            let (before, after) = result.split_once(&added).unwrap();
            let without = match after.strip_prefix(end) {
                Some(after) => format!("{before}{after}"),
                None => format!("{}{after}", before.strip_suffix(end).unwrap()),
            };
            prop_assert_eq!(without, document);
        }
    }

    /// Whatever comes in: an answer, and no panic.
    #[test]
    fn any_text_has_an_answer(text in "(#cloud-config\n|Mime-Version: 1.0\n|\\{|)(.|\n){0,80}") {
        let _ = merged(&text, REPLACE);
        let _ = meta_data::merge_openstack(text.as_bytes(), REPLACE);
        let _ = weir_seed::document::ignition::merge(text.as_bytes(), REPLACE);
    }
}
