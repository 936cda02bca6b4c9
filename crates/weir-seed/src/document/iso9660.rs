//! A volume with a few small files in its root, as ISO 9660 (ECMA-119) with Joliet and Rock Ridge names: what a guest finds
//! when it looks for a disk labelled `cidata`.
//!
//! Names as they are come by Rock Ridge for Linux and by Joliet for others; the plain names of ECMA-119 (capitals, eight and
//! three) are there because a volume without them is none. Dates are fixed, so that the same files make the same volume to
//! the byte; files are root's and nobody else's (0600). After the last file come 150 empty sectors, as mkisofs puts them
//! there: drives and kernels read ahead.
//!
//! Absent on purpose: folders, and files that are longer than memory.

use zeroize::Zeroizing;

const SECTOR: usize = 2048;
const PADDING: usize = 150;
/// So that a folder's records are in one sector whatever the names.
const MAX_FILES: usize = 8;
const MAX_NAME: usize = 60;

/// Where things are, in sectors.
const PRIMARY: usize = 16;
const JOLIET: usize = 17;
const TERMINATOR: usize = 18;
const PATHS: usize = 19;
const JOLIET_PATHS: usize = 21;
const FOLDER: usize = 23;
const JOLIET_FOLDER: usize = 24;
const FILES: usize = 25;

/// 2000-01-01 00:00:00 UTC (ECMA-119 9.1.5 and 8.4.26.1).
const DATE: [u8; 7] = [100, 1, 1, 0, 0, 0, 0];
const LONG_DATE: &[u8; 17] = b"2000010100000000\0";
const NO_DATE: &[u8; 17] = b"0000000000000000\0";

/// Why files make no volume.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VolumeError {
    /// A label, or a file's name, that is empty, too long, or has other characters than ASCII letters, digits and `-_.`.
    #[error("{0:?} is no name for a volume or a file in it")]
    Name(String),
    /// Two names that ECMA-119 does not tell apart.
    #[error("{0} and {1} are too much alike")]
    Alike(String, String),
    /// More files, or longer ones, than belong here.
    #[error("more than the volume is made for")]
    TooMuch,
}

struct File<'a> {
    name: &'a str,
    plain: String,
    bytes: &'a [u8],
    sector: usize,
}

/// A volume with this label and these files, each a name and its content. Its memory is erased when it is dropped.
///
/// # Errors
/// [`VolumeError`].
pub fn volume(label: &str, files: &[(&str, &[u8])]) -> Result<Zeroizing<Vec<u8>>, VolumeError> {
    let placed = place(label, files)?;
    let end = placed.last().map_or(FILES, |file| file.sector + sectors(file.bytes.len()));
    let mut image = Image(Zeroizing::new(vec![0; (end + PADDING) * SECTOR]));
    let total = end + PADDING;
    image.put(PRIMARY, &descriptor(1, label, total, FOLDER, PATHS, &[], |text| text.bytes().collect()));
    image.put(JOLIET, &descriptor(2, label, total, JOLIET_FOLDER, JOLIET_PATHS, b"%/E", ucs2));
    image.put(TERMINATOR, b"\xffCD001\x01");
    for (at, folder) in [(PATHS, FOLDER), (JOLIET_PATHS, JOLIET_FOLDER)] {
        image.put(at, &path_table(number(folder).to_le_bytes(), 1_u16.to_le_bytes()));
        image.put(at + 1, &path_table(number(folder).to_be_bytes(), 1_u16.to_be_bytes()));
    }
    image.put(FOLDER, &plain_folder(&placed));
    image.put(JOLIET_FOLDER, &joliet_folder(&placed));
    placed.iter().for_each(|file| image.put(file.sector, file.bytes));
    Ok(image.0)
}

struct Image(Zeroizing<Vec<u8>>);

impl Image {
    fn put(&mut self, sector: usize, bytes: &[u8]) {
        if let Some(place) = self.0.get_mut(sector * SECTOR..sector * SECTOR + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
}

fn place<'a>(label: &str, files: &[(&'a str, &'a [u8])]) -> Result<Vec<File<'a>>, VolumeError> {
    check_name(label, 16)?;
    if files.len() > MAX_FILES || files.iter().any(|(_, bytes)| bytes.len() > super::MAX_BYTES * 2) {
        return Err(VolumeError::TooMuch);
    }
    let mut placed: Vec<File<'a>> = Vec::new();
    let mut sector = FILES;
    for &(name, bytes) in files {
        check_name(name, MAX_NAME)?;
        let plain = plain_name(name);
        if let Some(other) = placed.iter().find(|other| other.plain == plain) {
            return Err(VolumeError::Alike(other.name.to_owned(), name.to_owned()));
        }
        placed.push(File { name, plain, bytes, sector });
        sector += sectors(bytes.len());
    }
    Ok(placed)
}

fn check_name(name: &str, most: usize) -> Result<(), VolumeError> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    match !name.is_empty() && name.len() <= most && name.bytes().all(good) && name.trim_matches('.') == name {
        true => Ok(()),
        false => Err(VolumeError::Name(name.chars().take(80).collect())),
    }
}

/// Eight capitals, a dot, three more, and a version (ECMA-119 7.5 and 10.1).
fn plain_name(name: &str) -> String {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let part = |text: &str, most| -> String {
        let capital = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        text.chars().take(most).map(capital).collect()
    };
    format!("{}.{};1", part(stem, 8), part(extension, 3))
}

fn sectors(bytes: usize) -> usize {
    bytes.div_ceil(SECTOR)
}

/// Sectors and lengths are far below 2^32: files are bounded.
fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// A number in both orders of bytes (ECMA-119 7.3.3).
fn both(value: usize) -> Vec<u8> {
    [number(value).to_le_bytes(), number(value).to_be_bytes()].concat()
}

fn both_short(value: u16) -> Vec<u8> {
    [value.to_le_bytes(), value.to_be_bytes()].concat()
}

fn ucs2(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// A primary or supplementary volume descriptor (ECMA-119 8.4 and 8.5).
fn descriptor(
    kind: u8,
    label: &str,
    total: usize,
    folder: usize,
    paths: usize,
    escape: &[u8],
    encode: fn(&str) -> Vec<u8>,
) -> Vec<u8> {
    let text = |text: &str, length: usize| {
        let blank = encode(" ");
        let mut bytes = encode(text);
        bytes.extend(blank.iter().cycle().take((length - bytes.len()) / blank.len() * blank.len()));
        // A field of an odd length ends with a zero in UCS-2 (Joliet, 4).
        bytes.resize(length, 0);
        bytes
    };
    let mut escape = escape.to_vec();
    escape.resize(32, 0);
    let fields: [&[u8]; 28] = [
        &[kind],
        b"CD001\x01\0",
        &text("", 32),
        &text(label, 32),
        &[0; 8],
        &both(total),
        &escape,
        &both_short(1),
        &both_short(1),
        &both_short(2048),
        &both(10),
        &number(paths).to_le_bytes(),
        &[0; 4],
        &number(paths + 1).to_be_bytes(),
        &[0; 4],
        &record(folder, SECTOR, true, b"\0", &[]),
        &text("", 128),
        &text("", 128),
        &text("", 128),
        &text("WEIR", 128),
        &text("", 37),
        &text("", 37),
        &text("", 37),
        LONG_DATE,
        LONG_DATE,
        NO_DATE,
        NO_DATE,
        &[1],
    ];
    fields.concat()
}

/// A path table of the root alone (ECMA-119 9.4).
fn path_table(folder: [u8; 4], parent: [u8; 2]) -> Vec<u8> {
    [&[1, 0], folder.as_slice(), &parent, &[0, 0]].concat()
}

/// A directory record (ECMA-119 9.1) with Rock Ridge's fields after it.
fn record(sector: usize, length: usize, is_folder: bool, name: &[u8], system_use: &[u8]) -> Vec<u8> {
    let mut record = vec![0, 0];
    record.extend(both(sector));
    record.extend(both(length));
    record.extend(DATE);
    record.extend([if is_folder { 2 } else { 0 }, 0, 0]);
    record.extend(both_short(1));
    record.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    record.extend(name);
    pad(&mut record);
    record.extend(system_use);
    pad(&mut record);
    let size = u8::try_from(record.len()).unwrap_or(u8::MAX);
    if let Some(first) = record.first_mut() {
        *first = size;
    }
    record
}

fn pad(record: &mut Vec<u8>) {
    if !record.len().is_multiple_of(2) {
        record.push(0);
    }
}

fn plain_folder(files: &[File<'_>]) -> Vec<u8> {
    // SP and ER say that Rock Ridge is used (SUSP 5.3 and 5.5; RRIP 4.3).
    let susp = [b"SP\x07\x01\xbe\xef\0".as_slice(), b"ER\x12\x01\x0a\0\0\x01RRIP_1991A"].concat();
    let folder = attributes(0o040_700, 2);
    let mut records = record(FOLDER, SECTOR, true, b"\0", &[susp, folder.clone()].concat());
    records.extend(record(FOLDER, SECTOR, true, b"\x01", &folder));
    let mut sorted: Vec<&File<'_>> = files.iter().collect();
    sorted.sort_by(|a, b| a.plain.cmp(&b.plain));
    for file in sorted {
        let mut name = b"NM".to_vec();
        name.extend([u8::try_from(5 + file.name.len()).unwrap_or(u8::MAX), 1, 0]);
        name.extend(file.name.bytes());
        let system_use = [attributes(0o100_600, 1), name].concat();
        records.extend(record(file.sector, file.bytes.len(), false, file.plain.as_bytes(), &system_use));
    }
    records
}

/// Mode, links and owner, and times (RRIP 4.1.1 and 4.1.6).
fn attributes(mode: usize, links: usize) -> Vec<u8> {
    let owner = [both(mode), both(links), both(0), both(0)].concat();
    let times = [DATE, DATE, DATE].concat();
    [b"PX\x24\x01".as_slice(), &owner, b"TF\x1a\x01\x0e", &times].concat()
}

fn joliet_folder(files: &[File<'_>]) -> Vec<u8> {
    let mut records = record(JOLIET_FOLDER, SECTOR, true, b"\0", &[]);
    records.extend(record(JOLIET_FOLDER, SECTOR, true, b"\x01", &[]));
    let mut sorted: Vec<&File<'_>> = files.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(b.name));
    for file in sorted {
        // Without a version, as mkisofs writes them: not everybody takes it off.
        records.extend(record(file.sector, file.bytes.len(), false, &ucs2(file.name), &[]));
    }
    records
}
