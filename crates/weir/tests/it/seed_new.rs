//! `weir seed new`

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use testkit::TempDir;

use crate::command::{weir, with_getrandom};
use crate::support::said;

/// A run in a folder.
fn run(dir: &TempDir, arguments: &str) -> Output {
    weir(&format!("seed new {arguments}")).current_dir(dir.path()).output().unwrap()
}

/// What a run that must succeed says.
#[track_caller]
fn stdout(dir: &TempDir, arguments: &str) -> String {
    let output = run(dir, arguments);
    assert_eq!(said(&output), (Some(0), String::new()), "{arguments}");
    String::from_utf8(output.stdout).unwrap()
}

/// All files below a folder, by their names from there.
fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        match entry.path().is_dir() {
            true => found.extend(files(&entry.path()).into_iter().map(|inner| format!("{name}/{inner}"))),
            false => found.push(name),
        }
    }
    found.sort();
    found
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn plain_seeds_are_what_they_should_be() {
    let dir = TempDir::new();
    assert_eq!(run(&dir, "").stdout.len(), 64);
    assert_eq!(run(&dir, "--bytes 4096").stdout.len(), 4096);
    assert_eq!(stdout(&dir, "-f hex --bytes 32").len(), 65);
    let lines = stdout(&dir, "-f base64 -n 500");
    assert_eq!(lines.lines().collect::<HashSet<_>>().len(), 500);
    for line in stdout(&dir, "-f json -n 3").lines() {
        let object: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&object["bytes"], object["base64"].as_str().unwrap().len()), (&Value::from(64), 88));
        let seed = weir_seed::Seed::from_base64(object["base64"].as_str().unwrap()).unwrap().unwrap();
        assert_eq!(object["sha256"], seed.fingerprint());
    }
}

#[test]
fn fifty_machines_get_fifty_seeds_and_a_manifest_says_which() {
    let dir = TempDir::new();
    fs::write(dir.join("u.yaml"), "#cloud-config\n# mine\nhostname: web\n").unwrap();
    let lines = stdout(&dir, "--merge u.yaml -n 50 -o seeds --json --manifest manifest");
    assert_eq!(fs::read_to_string(dir.join("manifest")).unwrap(), lines);
    let mut prints = HashSet::new();
    for line in lines.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let text = fs::read_to_string(dir.join(record["file"].as_str().unwrap())).unwrap();
        assert!(
            text.starts_with("#cloud-config\nrandom_seed:\n") && text.ends_with("# mine\nhostname: web\n")
        );
        let data = text.split('"').nth(1).unwrap();
        let seed = weir_seed::Seed::from_base64(data).unwrap().unwrap();
        assert_eq!(record["sha256"], seed.fingerprint());
        assert!(!line.contains(data));
        prints.insert(seed.fingerprint());
    }
    assert_eq!(prints.len(), 50);
    let names = files(&dir.join("seeds"));
    assert_eq!((names.len(), names[0].as_str(), names[49].as_str()), (50, "seed-01.yaml", "seed-50.yaml"));
    assert_eq!((mode(&dir.join("seeds")), mode(&dir.join("seeds/seed-01.yaml"))), (0o700, 0o600));
    stdout(&dir, "-f cloud-config -n 2 -o web{}.yaml");
    assert!(dir.join("web1.yaml").exists() && dir.join("web2.yaml").exists());
}

#[test]
fn all_files_are_written_or_none() {
    let dir = TempDir::new();
    fs::create_dir(dir.join("seeds")).unwrap();
    fs::write(dir.join("seeds/seed-3.bin"), "mine").unwrap();
    let (status, message) = said(&run(&dir, "-n 3 -o seeds"));
    assert_eq!(status, Some(1));
    assert_eq!(message, "weir: seeds/seed-3.bin: this is there already (--force replaces it)\n");
    assert_eq!(files(dir.path()), ["seeds/seed-3.bin"]);
    assert_eq!(fs::read(dir.join("seeds/seed-3.bin")).unwrap(), b"mine");
    stdout(&dir, "-n 3 -o seeds --force");
    assert_eq!(fs::read(dir.join("seeds/seed-3.bin")).unwrap().len(), 64);
    let (status, message) = said(&run(&dir, "-n 2 -o more --manifest /dev/full"));
    assert_eq!(status, Some(1));
    assert!(message.contains("/dev/full: No space left"), "{message}");
    assert!(!dir.join("more").exists());
}

#[test]
fn a_folder_or_a_volume_for_nocloud() {
    let dir = TempDir::new();
    fs::write(dir.join("net"), "version: 2\n").unwrap();
    stdout(&dir, "-f nocloud -n 2 -o nc --hostname web{} --network-config net");
    assert_eq!(files(&dir.join("nc")).len(), 6);
    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    let (one, two) = (read("nc/seed-1/meta-data"), read("nc/seed-2/meta-data"));
    assert!(one.starts_with("instance-id: \"") && one.ends_with("local-hostname: \"web1\"\n"), "{one}");
    assert_ne!(one.lines().next(), two.lines().next());
    assert!(read("nc/seed-1/user-data").contains("random_seed:"));
    assert_eq!(read("nc/seed-2/network-config"), "version: 2\n");
    fs::write(dir.join("setup.sh"), "#!/bin/sh\n").unwrap();
    stdout(&dir, "-f nocloud -o in-meta --merge setup.sh --seed-in meta-data --instance-id i-{}");
    assert_eq!(read("in-meta/user-data"), "#!/bin/sh\n");
    let meta = read("in-meta/meta-data");
    assert!(meta.contains("random_seed: \"") && meta.contains("instance-id: \"i-1\""), "{meta}");
    stdout(&dir, "-f iso -o web.iso --hostname web1");
    let Ok(output) =
        Command::new("isoinfo").arg("-i").arg(dir.join("web.iso")).args(["-R", "-x", "/meta-data"]).output()
    else {
        testkit::skip!("no isoinfo");
    };
    assert!(String::from_utf8(output.stdout).unwrap().ends_with("local-hostname: \"web1\"\n"));
}

#[test]
fn qemu_and_systemd_boot_get_theirs() {
    let dir = TempDir::new();
    let line = stdout(&dir, "-f qemu -o web1.seed");
    let file = dir.join("web1.seed").display().to_string();
    assert!(
        line.starts_with(&format!("-fw_cfg name=opt/org.weir-seed/seed,file={file} -object rng-random")),
        "{line}"
    );
    assert_eq!((fs::metadata(&file).unwrap().len(), mode(Path::new(&file))), (64, 0o600));
    let (status, message) = said(&run(&dir, "-f esp -o ."));
    assert!(status == Some(1) && message.contains("mounted there?"), "{message}");
    fs::create_dir(dir.join("EFI")).unwrap();
    stdout(&dir, "-f esp -o .");
    assert_eq!(fs::metadata(dir.join("loader/random-seed")).unwrap().len(), 32);
    assert_eq!(run(&dir, "-f esp -o .").status.code(), Some(1), "a second time");
}

#[test]
fn a_merge_says_where_it_cannot() {
    let dir = TempDir::new();
    fs::write(dir.join("bad.yaml"), "#cloud-config\na: 1\nb: [\n").unwrap();
    fs::write(dir.join("has.yaml"), "#cloud-config\na: 1\nrandom_seed: {data: x}\n").unwrap();
    fs::write(dir.join("bad.ign"), "{\"ignition\": {\"version\": \"2.0.0\"}}").unwrap();
    for (arguments, beginning) in [
        ("--merge bad.yaml -o out", "weir: bad.yaml:4:1: "),
        (
            "--merge has.yaml -o out",
            "weir: has.yaml:3:1: random_seed is there already (--replace puts a new one there)",
        ),
        ("--merge bad.ign -o out", "weir: bad.ign:1:14: this is for Ignition 2.0.0"),
        ("--merge nothing -o out", "weir: nothing: No such file"),
        ("--merge . -o out", "weir: .: Is a directory"),
        ("--merge - -f metadata -o out --datasource openstack", "weir: standard input:1:1: EOF"),
        ("-f nocloud --network-config bad.yaml -o out", "weir: bad.yaml:4:1: "),
        ("-o no/such/folder", "weir: no/such/folder: No such file"),
        ("-f raw -o .weir-no-folder/..", "weir: .weir-no-folder/..: "),
    ] {
        let (status, message) = said(&run(&dir, arguments));
        assert_eq!(status, Some(1), "{arguments}: {message}");
        assert!(message.starts_with(beginning) && message.lines().count() == 1, "{arguments}: {message}");
    }
    assert_eq!(files(dir.path()), ["bad.ign", "bad.yaml", "has.yaml"]);
    let out = stdout(&dir, "--merge has.yaml --replace --no-reseed");
    assert!(out.starts_with("#cloud-config\na: 1\nrandom_seed:\n  file: /dev/urandom\n  data: \""), "{out}");
}

#[test]
fn user_data_comes_by_standard_input_too() {
    let mut child = weir("seed new --merge -").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"#!/bin/sh\ntrue\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("Content-Type: multipart/mixed;") && text.contains("\n#!/bin/sh\ntrue\n"),
        "{text}"
    );
}

#[test]
fn what_is_too_long_for_a_provider_is_not_written() {
    let dir = TempDir::new();
    fs::write(dir.join("long"), format!("#cloud-config\nx: {}\n", "ab".repeat(9000))).unwrap();
    let (status, message) = said(&run(&dir, "--merge long --limit ec2 -o out"));
    assert_eq!(status, Some(1));
    assert!(message.contains("Amazon EC2 takes 16384"), "{message}");
    for command in [
        "\n  weir seed new --merge long --gzip --limit ec2 -o user-data\n",
        "\n  weir seed new --merge long -o web1\n",
        "\n  printf '#include-once\\nhttps://HOST/web1\\n' > user-data\n",
    ] {
        assert!(message.contains(command), "{message}");
    }
    assert!(!dir.join("out").exists());
    stdout(&dir, "--merge long --limit ec2 --gzip -o out");
    assert!(fs::metadata(dir.join("out")).unwrap().len() < 1000);
    let mut gzip = Command::new("gzip");
    gzip.arg("-dc").stdin(File::open(dir.join("out")).unwrap());
    assert!(gzip.output().unwrap().stdout.starts_with(b"#cloud-config\nrandom_seed:"));
    fs::write(dir.join("longer"), format!("#cloud-config\nx: {}\n", "ab".repeat(20000))).unwrap();
    let (status, message) = said(&run(&dir, "--merge longer --limit hetzner -o out2"));
    assert!(status == Some(1) && message.contains("#include-once"), "{message}");
    assert!(!message.contains("--gzip"), "it takes no bytes: {message}");
    let (status, message) = said(&run(&dir, "--merge longer --limit hetzner --gzip -o out2"));
    assert!(
        status == Some(2) && message.contains("text only") && message.contains("#include-once"),
        "{message}"
    );
    fs::write(
        dir.join("x.ign"),
        format!("{{\"ignition\": {{\"version\": \"3.0.0\"}}, \"x\": \"{}\"}}", "ab".repeat(9000)),
    )
    .unwrap();
    let (_, message) = said(&run(&dir, "--merge x.ign --limit ec2 -o out2"));
    assert!(!message.contains("--gzip") && !message.contains("#include"), "cloud-init's alone: {message}");
}

#[test]
fn wrong_usage_is_said_in_one_sentence() {
    let dir = TempDir::new();
    for (arguments, part) in [
        ("--bytes 31", "too short"),
        ("--bytes 4097", "too long"),
        ("-n 2", "-o"),
        ("-f cloud-config -n 2", "-o"),
        ("-f nocloud", "-o"),
        ("-f qemu", "-o"),
        ("-f esp", "mounted"),
        ("-f esp -n 2 -o .", "one partition"),
        ("-f hex --hostname a", "--hostname goes with --format nocloud, iso, metadata"),
        ("-f raw --gzip", "cloud-config"),
        ("-f nocloud -n 2 -o x --hostname a", "{}"),
        ("-f nocloud -o x --hostname a_b", "no host name"),
        ("-f metadata --instance-id a/b", "no instance id"),
        ("-f qemu -o x --json", "--manifest"),
    ] {
        let output = run(&dir, arguments);
        let (status, message) = said(&output);
        assert_eq!((status, output.stdout.len()), (Some(2), 0), "{arguments}: {message}");
        assert!(message.contains(part) && message.lines().count() == 1, "{arguments}: {message}");
    }
    assert!(files(dir.path()).is_empty());
}

#[test]
fn a_full_disk_and_a_closed_pipe() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = weir("seed new -f base64").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let mut child =
        weir("seed new -f base64 -n 100000").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(said(&child.wait_with_output().unwrap()), (Some(0), String::new()));
}

#[test]
fn a_terminal_gets_no_raw_bytes_and_a_word_with_the_others() {
    let on_terminal = |arguments: &str| {
        let command = format!("{} seed new {arguments}", env!("CARGO_BIN_EXE_weir"));
        Command::new("script").args(["-qec", &command, "/dev/null"]).stdin(Stdio::null()).output()
    };
    let Ok(output) = on_terminal("") else { testkit::skip!("no script(1)") };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.code() == Some(2) && text.contains("would garble the terminal"), "{text}");
    let text = String::from_utf8(on_terminal("-f hex").unwrap().stdout).unwrap();
    assert_eq!(text.lines().next().unwrap().len(), 128);
    assert!(text.contains("whoever sees this has the seed"), "{text}");
}

#[test]
fn a_kernel_that_does_not_give_means_nothing_is_made() {
    let dir = TempDir::new();
    let out = dir.join("out").display().to_string();
    for (error, status) in [("EAGAIN", 3), ("ENOSYS", 1)] {
        let Some(output) = with_getrandom(error, &format!("seed new -f iso -o {out}")) else {
            testkit::skip!("no strace that may trace");
        };
        assert_eq!(said(&output).0, Some(status), "{:?}", said(&output));
    }
    assert!(files(dir.path()).is_empty());
}
