//! The hypervisor's word: whoever restores or clones a machine says so to the guest.
//!
//! A line `clone NONCE` with 16 to 64 bytes in hexadecimal, sent once to each clone, different for each. The daemon mixes the
//! nonce in and credits nothing for it, reseeds, publishes the next generation, and answers `ok GENERATION`. The same nonce
//! again is the same clone: answered, and nothing else happens. What is no such line is answered `error REASON`.
//!
//! It arrives by a Unix socket that only root can open, by a vsock port on which only the hypervisor (CID 2) is heard, or by a
//! character device such as a virtio-serial port. A connection is one line, and is given a second.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use socket2::{Domain, SockAddr, Socket, Type};

/// A connection that says nothing is not waited for longer.
const PATIENCE: Duration = Duration::from_secs(1);
/// `clone `, 64 bytes in hexadecimal, the end of the line: and something to spare for line ends of two characters.
const LONGEST: usize = 160;
/// From a device at once: what a hypervisor has to say is short.
const MOST_READS: u32 = 64;
/// A device that says so much and no word among it is not the hypervisor's, and is heard no longer.
const MOST_IDLE: usize = 64 * 1024;
/// The address of the hypervisor on a vsock (`VMADDR_CID_HOST`).
const HYPERVISOR: u32 = 2;
/// Any address of this machine (`VMADDR_CID_ANY`).
const ANY: u32 = u32::MAX;

/// Where words arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A Unix socket that the daemon makes.
    Unix(PathBuf),
    /// A vsock port.
    Vsock(u32),
    /// A character device.
    Device(PathBuf),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let absolute = |path: &str| {
            let path = PathBuf::from(path);
            if path.is_absolute() {
                Ok(path)
            } else {
                Err(format!("{} is not an absolute path", path.display()))
            }
        };
        match text.split_once(':') {
            Some(("unix", path)) => absolute(path).map(Self::Unix),
            Some(("device", path)) => absolute(path).map(Self::Device),
            Some(("vsock", port)) => {
                port.parse().map(Self::Vsock).map_err(|_| format!("{port} is not a vsock port"))
            }
            _ => Err(format!("{text} is none of unix:PATH, vsock:PORT, device:PATH")),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Vsock(port) => write!(f, "vsock:{port}"),
            Self::Device(path) => write!(f, "device:{}", path.display()),
        }
    }
}

/// What the hypervisor said: 16 to 64 bytes, which nobody has to keep secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word(Vec<u8>);

impl Word {
    /// The nonce.
    pub(crate) fn nonce(&self) -> &[u8] {
        &self.0
    }

    /// Parses a line, without its end.
    ///
    /// # Errors
    /// What is wrong with it, in words for whoever sent it.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, &'static str> {
        let line = line.trim_ascii_end();
        let digits = line.strip_prefix(b"clone ").ok_or("not a line \"clone NONCE\"")?;
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        if !(32..=128).contains(&digits.len()) || digits.len() % 2 != 0 {
            return Err("the nonce is not 16 to 64 bytes");
        }
        let pairs =
            digits.chunks_exact(2).map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.last()?)?));
        pairs.collect::<Option<_>>().map(Self).ok_or("the nonce is not hexadecimal")
    }
}

/// A place where words arrive.
#[derive(Debug)]
pub(crate) struct Listener {
    place: Place,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Unix(UnixListener),
    Vsock(Socket),
    /// With what wakes for it: only when something changes. A port at whose other side nobody is says so without end.
    Device {
        device: File,
        changes: OwnedFd,
        begun: Begun,
    },
}

impl Listener {
    /// Listens.
    ///
    /// # Errors
    /// That the place cannot be had.
    pub(crate) fn open(place: &Place) -> io::Result<Self> {
        let way = match place {
            Place::Unix(path) => Way::Unix(unix(path)?),
            Place::Vsock(port) => Way::Vsock(vsock(*port)?),
            Place::Device(path) => {
                let device = device(path)?;
                Way::Device { changes: changes(&device)?, device, begun: Begun::default() }
            }
        };
        Ok(Self { place: place.clone(), way })
    }

    /// Where it listens.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Takes what has arrived, and hands each word to `act`, which answers with the generation in force after it.
    ///
    /// # Errors
    /// That nothing will arrive here any more.
    pub(crate) fn take(&mut self, act: impl FnMut(&Word) -> u64) -> io::Result<()> {
        match &mut self.way {
            Way::Unix(listener) => {
                let Ok((mut stream, _)) = listener.accept() else { return Ok(()) };
                stream.set_nonblocking(false)?;
                let given =
                    (stream.set_read_timeout(Some(PATIENCE)), stream.set_write_timeout(Some(PATIENCE)));
                if let (Ok(()), Ok(())) = given {
                    converse(&mut stream, act);
                }
            }
            Way::Vsock(socket) => {
                let Ok((mut stream, peer)) = socket.accept() else { return Ok(()) };
                if peer.as_vsock_address().is_none_or(|(cid, _)| cid != HYPERVISOR) {
                    return Ok(());
                }
                stream.set_nonblocking(false)?;
                let given =
                    (stream.set_read_timeout(Some(PATIENCE)), stream.set_write_timeout(Some(PATIENCE)));
                if let (Ok(()), Ok(())) = given {
                    converse(&mut stream, act);
                }
            }
            Way::Device { device, changes, begun } => {
                let mut seen = Vec::with_capacity(1);
                let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
                epoll::wait(changes, spare_capacity(&mut seen), Some(&at_once))?;
                return read_device(device, begun, act);
            }
        }
        Ok(())
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.way {
            Way::Unix(listener) => listener.as_fd(),
            Way::Vsock(socket) => socket.as_fd(),
            Way::Device { changes, .. } => changes.as_fd(),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Place::Unix(path) = &self.place {
            let _ = fs::remove_file(path);
        }
    }
}

fn unix(path: &Path) -> io::Result<UnixListener> {
    // What a killed daemon left behind is in the way; anything but a socket is somebody's file.
    if fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket()) {
        fs::remove_file(path)?;
    }
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = listener?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn vsock(port: u32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::VSOCK, Type::STREAM, None)?;
    socket.bind(&SockAddr::vsock(ANY, port))?;
    socket.listen(4)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn device(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let device =
        OpenOptions::new().read(true).write(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if device.metadata()?.file_type().is_char_device() {
        Ok(device)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a character device"))
    }
}

/// Wakes when something happens at a device, and not for as long as it lasts (`EPOLLET`).
fn changes(device: &File) -> io::Result<OwnedFd> {
    let changes = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
    epoll::add(&changes, device, epoll::EventData::new_u64(0), flags)?;
    Ok(changes)
}

/// One line in, one line out, in a second altogether.
fn converse(stream: &mut (impl Read + Write), act: impl FnMut(&Word) -> u64) {
    let until = Instant::now() + PATIENCE;
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < LONGEST
        && Instant::now() < until
        && matches!(stream.read(&mut byte), Ok(1))
        && byte != *b"\n"
    {
        line.extend(byte);
    }
    let _ = stream.write_all(answer(&line, act).as_bytes());
}

fn answer(line: &[u8], mut act: impl FnMut(&Word) -> u64) -> String {
    match Word::parse(line) {
        Ok(word) => format!("ok {}\n", act(&word)),
        Err(why) => format!("error {why}\n"),
    }
}

/// A line of a device that has not ended yet.
#[derive(Debug, Default)]
struct Begun {
    line: Vec<u8>,
    /// Bytes since the last word.
    idle: usize,
}

impl Begun {
    /// The next byte. Answers the line if this ends it; one that is too long is answered once, as what it begins with.
    fn push(&mut self, byte: u8) -> Option<Vec<u8>> {
        self.idle += 1;
        if byte == b'\n' {
            return Some(std::mem::take(&mut self.line));
        }
        if self.line.len() <= LONGEST {
            self.line.push(byte);
        }
        None
    }
}

/// Lines of a device, which is never closed, until there are no more for now.
fn read_device(device: &mut File, begun: &mut Begun, mut act: impl FnMut(&Word) -> u64) -> io::Result<()> {
    let mut bytes = [0; LONGEST];
    for _ in 0..MOST_READS {
        let length = match device.read(&mut bytes) {
            Ok(0) => break,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        for byte in bytes.iter().take(length) {
            let Some(line) = begun.push(*byte) else { continue };
            let mut is_word = false;
            let said = answer(&line, |word| {
                is_word = true;
                act(word)
            });
            begun.idle *= usize::from(!is_word);
            let _ = device.write_all(said.as_bytes());
        }
    }
    if begun.idle > MOST_IDLE {
        return Err(io::Error::other("it talks without end and says nothing"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_word_is_a_nonce_of_16_to_64_bytes() {
        let word = |text: &str| Word::parse(text.as_bytes());
        assert_eq!(word(&format!("clone {}\r\n", "0aF".repeat(16))).unwrap().nonce().len(), 24);
        assert_eq!(word(&format!("clone {}", "ff".repeat(64))).unwrap().nonce(), [255; 64]);
        for bad in ["", "clone", "clone ", "clone 00", "Clone 00000000000000000000000000000000"] {
            assert!(word(bad).is_err(), "{bad}");
        }
        for digits in ["00".repeat(15), "00".repeat(65), "0".repeat(33), "0g".repeat(16), "+1".repeat(16)] {
            assert!(word(&format!("clone {digits}")).is_err(), "{digits}");
        }
    }

    #[test]
    fn places_are_named_with_their_kind() {
        assert_eq!("vsock:5000".parse(), Ok(Place::Vsock(5000)));
        assert_eq!("unix:/run/x".parse::<Place>().unwrap().to_string(), "unix:/run/x");
        for bad in ["", "/run/x", "unix:run/x", "vsock:-1", "vsock:4294967296", "device:", "tcp:1"] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
    }

    fn say(path: &Path, listener: &mut Listener, what: &str, acted: &mut Vec<Vec<u8>>) -> String {
        let mut client = UnixStream::connect(path).unwrap();
        client.write_all(what.as_bytes()).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let act = |word: &Word| {
            acted.push(word.nonce().to_vec());
            acted.len() as u64
        };
        listener.take(act).unwrap();
        let mut line = String::new();
        BufReader::new(client).read_line(&mut line).unwrap();
        line
    }

    #[test]
    fn a_unix_socket_is_roots_alone_and_answers_each_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("word");
        let mut listener = Listener::open(&Place::Unix(path.clone())).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut acted = Vec::new();
        let word = format!("clone {}\n", "01".repeat(16));
        assert_eq!(say(&path, &mut listener, &word, &mut acted), "ok 1\n");
        assert_eq!(say(&path, &mut listener, "reboot\n", &mut acted), "error not a line \"clone NONCE\"\n");
        assert_eq!(
            say(&path, &mut listener, &"x".repeat(LONGEST - 1), &mut acted),
            "error not a line \"clone NONCE\"\n"
        );
        assert_eq!(acted, [[1; 16]]);
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn somebodys_file_is_not_replaced_by_a_socket_and_a_dead_socket_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("word");
        fs::write(&path, "precious").unwrap();
        assert!(Listener::open(&Place::Unix(path.clone())).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        fs::remove_file(&path).unwrap();
        drop(UnixListener::bind(&path).unwrap());
        assert!(Listener::open(&Place::Unix(path)).is_ok());
    }

    #[test]
    fn a_device_wakes_for_lines_and_not_for_nobody_at_its_other_side() {
        use rustix::event::{PollFd, PollFlags, poll};
        let host =
            rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).unwrap();
        rustix::pty::grantpt(&host).unwrap();
        rustix::pty::unlockpt(&host).unwrap();
        let name = rustix::pty::ptsname(&host, Vec::new()).unwrap().into_string().unwrap();
        // A line is a line as it is sent: no echo, no line editing.
        let mut how = rustix::termios::tcgetattr(&host).unwrap();
        how.make_raw();
        rustix::termios::tcsetattr(&host, rustix::termios::OptionalActions::Now, &how).unwrap();
        let mut host = File::from(host);
        let mut listener = Listener::open(&Place::Device(name.into())).unwrap();
        let wakes = |listener: &Listener, ms: i64| {
            let time = Timespec { tv_sec: 0, tv_nsec: ms * 1_000_000 };
            poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&time)).unwrap() == 1
        };
        assert!(!wakes(&listener, 0));
        writeln!(host, "clone {}", "01".repeat(16)).unwrap();
        assert!(wakes(&listener, 900));
        let mut acted = 0;
        listener
            .take(|_| {
                acted += 1;
                7
            })
            .unwrap();
        let mut answer = [0; 5];
        host.read_exact(&mut answer).unwrap();
        assert_eq!((acted, &answer), (1, b"ok 7\n"));
        drop(host);
        // That the other side left is told once at the most.
        if wakes(&listener, 0) {
            let _ = listener.take(|_| 0);
        }
        assert!(!wakes(&listener, 0));
    }

    #[test]
    fn a_regular_file_is_no_device() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Listener::open(&Place::Device(file.path().to_owned())).is_err());
    }
}
