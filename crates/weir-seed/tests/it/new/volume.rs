//! A volume that others can read.

use std::process::{Command, Output};

use weir_seed::document::iso9660::{VolumeError, volume};

const FILES: [(&str, &[u8]); 3] =
    [("user-data", b"#cloud-config\n"), ("meta-data", b""), ("network-config", &[b'x'; 5000])];

fn image() -> Vec<u8> {
    volume("cidata", &FILES).unwrap().to_vec()
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    let both = |order: fn([u8; 4]) -> u32, at: usize| order(bytes[at..at + 4].try_into().unwrap());
    assert_eq!(both(u32::from_le_bytes, at), both(u32::from_be_bytes, at + 4), "both orders say the same");
    both(u32::from_le_bytes, at) as usize
}

/// Records of a folder (ECMA-119 9.1): name, sector, length.
fn records(image: &[u8], sector: usize) -> Vec<(Vec<u8>, usize, usize)> {
    let mut records = Vec::new();
    let mut at = sector * 2048;
    while image[at] != 0 {
        let name = image[at + 33..at + 33 + usize::from(image[at + 32])].to_vec();
        records.push((name, u32_at(image, at + 2), u32_at(image, at + 10)));
        at += usize::from(image[at]);
    }
    records
}

#[test]
fn every_byte_is_where_the_standard_wants_it() {
    let image = image();
    // ECMA-119 8.4, Joliet: type, identifier, label, sectors, escape, block, root.
    for (sector, kind, label) in
        [(16, 1, b"cidata  ".as_slice()), (17, 2, b"\0c\0i\0d\0a\0t\0a\0 ".as_slice())]
    {
        let descriptor = &image[sector * 2048..][..2048];
        assert_eq!(&descriptor[..7], &[kind, b'C', b'D', b'0', b'0', b'1', 1]);
        assert_eq!(&descriptor[40..40 + label.len()], label);
        assert_eq!(u32_at(descriptor, 80) * 2048, image.len());
        assert_eq!(&descriptor[128..132], [0, 8, 8, 0]);
        assert_eq!(descriptor[881], 1, "version of the structure");
        let root = u32_at(descriptor, 156 + 2);
        let records = records(&image, root);
        assert_eq!(records[0].1, root);
        let content = |length: usize| {
            let (_, sector, length) = records.iter().find(|record| record.2 == length).unwrap();
            image[sector * 2048..][..*length].to_vec()
        };
        assert_eq!(content(14), FILES[0].1);
        assert_eq!(content(5000), FILES[2].1);
        let names: Vec<_> = records[2..].iter().map(|record| record.0.clone()).collect();
        assert!(names.is_sorted(), "{names:?}");
    }
    assert_eq!(&image[17 * 2048 + 88..][..3], b"%/E");
    assert_eq!(&image[18 * 2048..][..7], b"\xffCD001\x01");
    assert_eq!(image, volume("cidata", &FILES).unwrap().to_vec(), "the same files, the same bytes");
    assert!(image.ends_with(&[0; 150 * 2048]));
}

#[test]
fn what_has_no_place_in_a_volume_is_refused() {
    let refused = |label, files: &[(&str, &[u8])]| volume(label, files).unwrap_err();
    assert!(matches!(refused("", &[]), VolumeError::Name(_)));
    assert!(matches!(refused("a b", &[]), VolumeError::Name(_)));
    assert!(matches!(refused("x", &[("a/b", b"")]), VolumeError::Name(_)));
    assert!(matches!(refused("x", &[("..", b"")]), VolumeError::Name(_)));
    assert!(matches!(refused("x", &[("meta-data", b""), ("meta-date", b"")]), VolumeError::Alike(..)));
    let many: Vec<(String, &[u8])> = (0..9).map(|number| (format!("{number}"), b"".as_slice())).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
    assert!(matches!(refused("x", &many), VolumeError::TooMuch));
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

#[test]
fn isoinfo_reads_it_both_ways() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("seed.iso");
    std::fs::write(&path, image()).unwrap();
    let isoinfo = |arguments: &[&str]| Command::new("isoinfo").arg("-i").arg(&path).args(arguments).output();
    let Ok(output) = isoinfo(&["-d"]) else { testkit::skip!("no isoinfo") };
    let text = said(&output);
    for part in
        ["Volume id: cidata", "Joliet with UCS level 3 found", "Rock Ridge signatures version 1 found"]
    {
        assert!(text.contains(part), "{text}");
    }
    for way in ["-R", "-J"] {
        let text = said(&isoinfo(&[way, "-f"]).unwrap());
        for name in ["/user-data", "/meta-data", "/network-config"] {
            assert!(text.lines().any(|line| line == name), "{way}: {text}");
        }
        let output = isoinfo(&[way, "-x", "/network-config"]).unwrap();
        assert_eq!(output.stdout, FILES[2].1, "{way}");
    }
    let listing = said(&isoinfo(&["-R", "-l"]).unwrap());
    assert!(listing.contains("-rw-------"), "{listing}");
}

#[test]
fn xorriso_has_nothing_to_say_against_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("seed.iso");
    std::fs::write(&path, image()).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new("xorriso");
        command
            .args(["-abort_on", "WARNING", "-report_about", "WARNING", "-indev"])
            .arg(&path)
            .args(arguments);
        command.output()
    };
    let out = dir.path().join("out");
    let Ok(output) = run(&["-osirrox", "on", "-extract", "/", out.to_str().unwrap()]) else {
        testkit::skip!("no xorriso");
    };
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output).lines().filter(|line| line.contains("WARNING")).count(), 0, "{}", said(&output));
    for (name, bytes) in FILES {
        assert_eq!(std::fs::read(out.join(name)).unwrap(), bytes);
    }
}
