//! Files, fifos and programs: real ones.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use weir_entropy::{Config, Gatherer, Source, SourceError, State, open};

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("weir-entropy-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("UTF-8").to_owned()
    }

    fn script(&self, text: &str) -> String {
        let path = self.path("script");
        let mut file = File::options().create_new(true).write(true).mode(0o700).open(&path).expect("a file");
        writeln!(file, "#!/bin/sh\n{text}").expect("written");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn opened(name: &str) -> Result<Box<dyn Source>, SourceError> {
    open(&name.parse().expect("a source"))
}

fn sample(source: &mut dyn Source, most: usize, wait: Duration) -> Result<Vec<u8>, SourceError> {
    let mut out = vec![0; most];
    let count = source.sample(&mut out, Instant::now() + wait)?;
    out.truncate(count);
    Ok(out)
}

fn error(name: &str) -> SourceError {
    opened(name).err().unwrap_or_else(|| panic!("{name} was opened"))
}

const SOON: Duration = Duration::from_millis(50);
const LATER: Duration = Duration::from_secs(10);

#[test]
fn a_file_is_read_to_its_end() {
    let folder = Folder::new("file");
    fs::write(folder.path("x"), [7; 100]).expect("written");
    let mut source = opened(&format!("file:{}", folder.path("x"))).expect("a file");
    assert_eq!(sample(&mut *source, 60, LATER).expect("samples"), [7; 60]);
    assert_eq!(sample(&mut *source, 60, LATER).expect("samples"), [7; 40]);
    assert!(matches!(sample(&mut *source, 60, LATER), Err(SourceError::Ended)));
}

#[test]
fn what_is_neither_file_nor_fifo_is_refused() {
    let folder = Folder::new("neither");
    assert!(matches!(error(&format!("fifo:{}", folder.path(""))), SourceError::Os { .. }), "a folder");
    assert!(matches!(error("fifo:/dev/null"), SourceError::Refused(_)));
    assert!(error("file:/nowhere/at/all").is_absence());
    assert!(error("command:/nowhere/at/all").is_absence());
    assert!(matches!(error("command:/dev/null"), SourceError::Refused(_)));
}

#[test]
fn a_fifo_makes_nobody_wait_and_outlives_its_writers() {
    let folder = Folder::new("fifo");
    let path = folder.path("x");
    assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo").success());
    assert!(matches!(error(&format!("file:{path}")), SourceError::Refused(_)), "named as a file");
    let mut source = opened(&format!("fifo:{path}")).expect("opened though nobody writes");
    assert!(matches!(sample(&mut *source, 10, SOON), Err(SourceError::Dry)));
    for text in ["one", "two"] {
        fs::write(&path, text).expect("written");
        assert_eq!(sample(&mut *source, 10, LATER).expect("samples"), text.as_bytes());
    }
    assert!(matches!(sample(&mut *source, 10, SOON), Err(SourceError::Dry)));
}

#[test]
fn a_program_gets_words_and_no_environment() {
    let mut echo = opened("command:/bin/echo $HOME  'a b' ;").expect("a program");
    assert_eq!(sample(&mut *echo, 100, LATER).expect("samples"), b"$HOME 'a b' ;\n");
    assert_eq!(sample(&mut *echo, 3, LATER).expect("again"), b"$HO");
    let mut env = opened("command:/usr/bin/env").expect("a program");
    assert!(matches!(sample(&mut *env, 100, LATER), Err(SourceError::Ended)));
}

#[test]
fn an_endless_program_is_cut_off() {
    let mut yes = opened("command:/usr/bin/yes").expect("a program");
    assert_eq!(sample(&mut *yes, 1000, LATER).expect("samples").len(), 1000);
}

#[test]
fn a_program_that_fails_says_with_what() {
    let folder = Folder::new("fails");
    let mut source = opened(&format!("command:{}", folder.script("exit 7"))).expect("a program");
    assert!(matches!(sample(&mut *source, 9, LATER), Err(SourceError::Device { code: 7, .. })));
    let text = folder.path("text");
    fs::write(&text, "not a program").expect("written");
    fs::set_permissions(&text, fs::Permissions::from_mode(0o600)).expect("set");
    let mut source = opened(&format!("command:{text}")).expect("looks like a file");
    assert!(matches!(sample(&mut *source, 9, LATER), Err(SourceError::Os { what: "starting it", .. })));
}

#[test]
fn a_program_is_killed_at_the_deadline_with_all_that_it_started() {
    let folder = Folder::new("killed");
    // Lengths that tell these processes from any other.
    let script = folder.script("sleep 31536017 & sleep 31536018");
    let mut source = opened(&format!("command:{script}")).expect("a program");
    let begin = Instant::now();
    // Long enough for both to be there.
    let until = begin + Duration::from_millis(300);
    let answer = source.sample(&mut [0; 9], until);
    assert!(matches!(answer, Err(SourceError::Dry)));
    assert!(begin.elapsed() < Duration::from_secs(5));
    let end = Instant::now() + LATER;
    while running("31536017") || running("31536018") {
        assert!(Instant::now() < end, "still running");
        std::thread::yield_now();
    }
}

/// Whether any process alive has this word among its arguments.
fn running(word: &str) -> bool {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let arguments = |process: &Path| fs::read(process.join("cmdline")).unwrap_or_default();
    processes.map(|entry| arguments(&entry.path())).any(|line| {
        // The shell's own line has the path of the script only.
        line.split(|&byte| byte == 0).any(|argument| argument == word.as_bytes())
    })
}

#[test]
fn a_batch_of_what_earns_nothing_is_there_to_be_mixed() {
    let folder = Folder::new("batch");
    fs::write(folder.path("x"), b"a text, of which anybody could know each letter".repeat(100))
        .expect("written");
    let sources = [format!("file:{}", folder.path("x")), "command:/usr/bin/yes".to_owned()];
    let sources = sources.map(|name| name.parse().expect("a source")).to_vec();
    let mut gatherer = Gatherer::new(Config { sources, credit: Vec::new() });
    let batch = gatherer.gather(256, Duration::from_secs(5));
    assert_eq!((batch.credit_bits(), batch.blocks().count()), (0, 1));
    assert!(batch.parts().iter().all(|part| part.samples > 0 && part.credited_bits == 0.0));
    let status = gatherer.status();
    assert!(matches!(&status[1].state, State::StartingUp | State::SetAside { .. }), "{:?}", status[1].state);
}
