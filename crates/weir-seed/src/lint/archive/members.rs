//! A tar archive, member by member, with every byte of its headers.
//!
//! The fields are read by the `tar` crate; the framing is here, because an archive that is written again has to keep the
//! bytes of what did not change, extension headers included, and because no header of an archive from elsewhere may make
//! this program keep more than it allows. POSIX 1003.1 `pax`, "ustar Interchange Format"; GNU tar's manual, "Basic Tar
//! Format" and "Storing Sparse Files".

use std::io::{self, Read};

use tar::{EntryType, GnuExtSparseHeader, Header};

pub(super) const BLOCK: usize = 512;
/// No more of extension headers is kept for a member.
const MAX_HEADERS_BYTES: usize = 1 << 20;

/// An extension header with its data.
pub(super) struct Extension {
    pub(super) kind: u8,
    /// All of its blocks.
    pub(super) blocks: Vec<u8>,
    /// Of these blocks, how many bytes behind the first are data.
    pub(super) length: usize,
}

impl Extension {
    pub(super) fn data(&self) -> &[u8] {
        self.blocks.get(BLOCK..BLOCK + self.length).unwrap_or_default()
    }
}

/// A member's headers and what they say. Its data is in the archive still.
pub(super) struct Member {
    pub(super) extensions: Vec<Extension>,
    pub(super) header: Header,
    /// The blocks behind an old GNU header that go on with its map of holes.
    pub(super) holes: Vec<u8>,
    pub(super) path: Vec<u8>,
    pub(super) link: Vec<u8>,
    /// Bytes of data in the archive, without what fills the last block.
    pub(super) stored: u64,
    /// Names of extended attributes.
    pub(super) attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Member {
    /// Whether it says something about the archive, and stands for no file.
    pub(super) fn is_global(&self) -> bool {
        !matches!(
            self.header.entry_type(),
            EntryType::Regular
                | EntryType::Continuous
                | EntryType::Link
                | EntryType::Symlink
                | EntryType::Char
                | EntryType::Block
                | EntryType::Directory
                | EntryType::Fifo
                | EntryType::GNUSparse
        )
    }
}

/// Reads members one after another.
pub(super) struct Members<R> {
    reader: R,
    /// Data and padding of the present member that were not read.
    data_left: u64,
    padding_left: u64,
    /// The block of zeros that ended the archive, if it was read.
    pub(super) end: Vec<u8>,
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl<R: Read> Members<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, data_left: 0, padding_left: 0, end: Vec::new() }
    }

    /// The next member; `None` at the end of the archive. What was left of the one before is passed over.
    pub(super) fn next(&mut self) -> io::Result<Option<Member>> {
        self.copy_rest(&mut io::sink())?;
        let mut extensions: Vec<Extension> = Vec::new();
        let mut size = 0;
        loop {
            let Some(header) = self.header()? else {
                return if extensions.is_empty() {
                    Ok(None)
                } else {
                    Err(malformed("ends behind an extension header"))
                };
            };
            let kind = header.entry_type().as_byte();
            if !matches!(kind, b'L' | b'K' | b'x' | b'X') {
                return self.member(header, extensions).map(Some);
            }
            let extension = self.extension(header, MAX_HEADERS_BYTES.saturating_sub(size))?;
            size += extension.blocks.len();
            extensions.push(extension);
        }
    }

    /// The data of the present member.
    pub(super) fn data(&mut self) -> Data<'_, R> {
        Data(self)
    }

    /// Copies what is left of the present member, with what fills its last block.
    pub(super) fn copy_rest(&mut self, out: &mut dyn io::Write) -> io::Result<()> {
        let left = self.data_left + self.padding_left;
        let copied = io::copy(&mut (&mut self.reader).take(left), out)?;
        (self.data_left, self.padding_left) = (0, 0);
        if copied == left { Ok(()) } else { Err(malformed("ends in the middle of a file")) }
    }

    /// What is behind the end of the archive, byte for byte.
    pub(super) fn copy_trailer(&mut self, out: &mut dyn io::Write) -> io::Result<()> {
        out.write_all(&self.end)?;
        io::copy(&mut self.reader, out).map(|_| ())
    }

    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut block = [0; BLOCK];
        let mut held = 0;
        while held < BLOCK {
            match self.reader.read(block.get_mut(held..).unwrap_or_default()) {
                Ok(0) if held == 0 => return Ok(None),
                Ok(0) => return Err(malformed("ends in the middle of a header")),
                Ok(length) => held += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if block.iter().all(|byte| *byte == 0) {
            self.end = block.to_vec();
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block).clone();
        let sums = checksums(&block);
        match header.cksum() {
            Ok(sum) if sums.contains(&i64::from(sum)) => Ok(Some(header)),
            _ => Err(malformed("no tar header where one should be")),
        }
    }

    fn extension(&mut self, header: Header, most: usize) -> io::Result<Extension> {
        let length = usize::try_from(header.entry_size()?).unwrap_or(usize::MAX);
        if length > most {
            return Err(malformed("an extension header of more than 1 MiB"));
        }
        let mut blocks = header.as_bytes().to_vec();
        blocks.resize(BLOCK + length.next_multiple_of(BLOCK), 0);
        self.reader.read_exact(blocks.get_mut(BLOCK..).unwrap_or_default())?;
        Ok(Extension { kind: header.entry_type().as_byte(), blocks, length })
    }

    fn member(&mut self, header: Header, extensions: Vec<Extension>) -> io::Result<Member> {
        let mut path = header.path_bytes().into_owned();
        let mut link = header.link_name_bytes().map(|link| link.into_owned()).unwrap_or_default();
        let mut stored = header.entry_size()?;
        let mut attributes = Vec::new();
        for extension in &extensions {
            let text = || extension.data().split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
            match extension.kind {
                b'L' => path = text(),
                b'K' => link = text(),
                _ => {
                    for (key, value) in records(extension.data())? {
                        match key {
                            b"path" | b"GNU.sparse.name" => path = value.to_vec(),
                            b"linkpath" => link = value.to_vec(),
                            b"size" => stored = number(value)?,
                            _ => {
                                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                                    attributes.push((name.to_vec(), value.to_vec()));
                                }
                            }
                        }
                    }
                }
            }
        }
        // GNU tar: a hard link has no data, whatever its size says.
        if header.entry_type() == EntryType::Link {
            stored = 0;
        }
        let holes = self.holes(&header)?;
        self.data_left = stored;
        self.padding_left = stored
            .checked_next_multiple_of(BLOCK as u64)
            .ok_or_else(|| malformed("a size beyond measure"))?
            - stored;
        if stored.checked_add(self.padding_left).is_none() {
            return Err(malformed("a size beyond measure"));
        }
        Ok(Member { extensions, header, holes, path, link, stored, attributes })
    }

    fn holes(&mut self, header: &Header) -> io::Result<Vec<u8>> {
        let mut blocks = Vec::new();
        let sparse = header.entry_type() == EntryType::GNUSparse;
        let mut more = sparse && header.as_gnu().is_some_and(tar::GnuHeader::is_extended);
        while more {
            let mut block = GnuExtSparseHeader::new();
            self.reader.read_exact(block.as_mut_bytes())?;
            blocks.extend_from_slice(block.as_bytes());
            more = block.is_extended();
            if blocks.len() > MAX_HEADERS_BYTES {
                return Err(malformed("a map of holes of more than 1 MiB"));
            }
        }
        Ok(blocks)
    }
}

/// The data of a member as a reader.
pub(super) struct Data<'a, R>(&'a mut Members<R>);

impl<R: Read> Read for Data<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.0.data_left).unwrap_or(usize::MAX).min(buffer.len());
        let length = self.0.reader.read(buffer.get_mut(..most).unwrap_or_default())?;
        if length == 0 && most > 0 {
            return Err(malformed("ends in the middle of a file"));
        }
        self.0.data_left -= length as u64;
        Ok(length)
    }
}

/// The sum of a header's bytes with blanks for the sum itself; some old programs took the bytes for signed.
fn checksums(block: &[u8; BLOCK]) -> [i64; 2] {
    let byte = |(at, byte): (usize, &u8)| if (148..156).contains(&at) { b' ' } else { *byte };
    let unsigned = block.iter().enumerate().map(|item| i64::from(byte(item))).sum();
    let signed = block.iter().enumerate().map(|item| i64::from(byte(item).cast_signed())).sum();
    [unsigned, signed]
}

/// The records of a pax header: `<length> <key>=<value>\n`, the length being that of all of it.
pub(super) fn records(mut data: &[u8]) -> io::Result<Vec<(&[u8], &[u8])>> {
    let bad = || malformed("a malformed pax header");
    let mut records = Vec::new();
    while data.first().is_some_and(|byte| *byte != 0) {
        let blank = data.iter().take(20).position(|byte| *byte == b' ').ok_or_else(bad)?;
        let length = usize::try_from(number(data.get(..blank).unwrap_or_default())?).map_err(|_| bad())?;
        let record =
            data.get(blank + 1..length).and_then(|record| record.strip_suffix(b"\n")).ok_or_else(bad)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(bad)?;
        records
            .push((record.get(..equals).unwrap_or_default(), record.get(equals + 1..).unwrap_or_default()));
        data = data.get(length..).unwrap_or_default();
    }
    Ok(records)
}

fn number(text: &[u8]) -> io::Result<u64> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    text.and_then(|text| text.parse().ok()).ok_or_else(|| malformed("a malformed number in a pax header"))
}
