//! Finds a function in the vDSO's ELF image.
//!
//! The image is the kernel's own and mapped into every process, but emulators and tracers supply others, so the parser
//! takes nothing for granted: every access is checked against the image, loops are bounded by its length, and
//! anything odd is "not found", after which draws go by system call. Pure: bytes in, offset out.
//!
//! Formats: System V ABI (gABI) chapters 4 and 5; the GNU hash table as written by binutils and lld.
//! Absent on purpose: 32-bit images (no such vDSO has getrandom), symbol versions (the name is the contract that
//! vDSO(7) states), relocations (the kernel's image needs none).

use std::ops::Range;

/// More than any vDSO has; what claims to be longer is not read.
pub const MAX_IMAGE_BYTES: usize = 1 << 20;

const ELF_HEADER_BYTES: usize = 64;
const PROGRAM_HEADER_BYTES: usize = 56;
const SYMBOL_BYTES: usize = 24;
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PF_X: u32 = 1;
const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_STRSZ: u64 = 10;
const DT_SYMENT: u64 = 11;
const DT_GNU_HASH: u64 = 0x6fff_fef5;
const STT_FUNC: u8 = 2;
const STB_GLOBAL: u8 = 1;
const STB_WEAK: u8 = 2;

/// How many bytes the image takes in memory, read from its first page. `None` if this is no image of ours.
#[must_use]
pub fn image_bytes(first_page: &[u8]) -> Option<usize> {
    let segments = Segments::parse(first_page)?;
    let end = segments.load.end.checked_sub(segments.load.start)?;
    (ELF_HEADER_BYTES..=MAX_IMAGE_BYTES).contains(&end).then_some(end)
}

/// The offset in the image of the function called `name`. `None` if there is none, or the image is malformed.
#[must_use]
pub fn function(image: &[u8], name: &[u8]) -> Option<usize> {
    let image = image.get(..image.len().min(MAX_IMAGE_BYTES))?;
    let segments = Segments::parse(image)?;
    let dynamic = Dynamic::parse(image, &segments)?;
    let address = dynamic.find(image, &segments, name)?;
    segments
        .code
        .contains(&address)
        .then(|| segments.offset(address))
        .flatten()
        .filter(|at| *at < image.len())
}

/// What the program headers say, in virtual addresses.
struct Segments {
    /// All that is loaded.
    load: Range<usize>,
    /// What may be executed.
    code: Range<usize>,
    /// The dynamic table.
    dynamic: Range<usize>,
}

impl Segments {
    fn parse(image: &[u8]) -> Option<Self> {
        let class_64 = 2;
        let byte_order = if cfg!(target_endian = "little") { 1 } else { 2 };
        if image.get(..6)? != [0x7f, b'E', b'L', b'F', class_64, byte_order] {
            return None;
        }
        let table = address(image, 32)?;
        let entry_bytes = usize::from(half(image, 54)?);
        if entry_bytes < PROGRAM_HEADER_BYTES {
            return None;
        }
        let mut load: Option<Range<usize>> = None;
        let mut code = 0..0;
        let mut dynamic = None;
        for index in 0..usize::from(half(image, 56)?) {
            let at = table.checked_add(index.checked_mul(entry_bytes)?)?;
            let kind = word(image, at)?;
            let flags = word(image, at.checked_add(4)?)?;
            let start = address(image, at.checked_add(16)?)?;
            let range = start..start.checked_add(address(image, at.checked_add(40)?)?)?;
            match kind {
                PT_LOAD => {
                    // The kernel maps the file as it is, so the first loaded byte must be the file's first.
                    if load.is_none() && address(image, at.checked_add(8)?)? != 0 {
                        return None;
                    }
                    let whole = load.get_or_insert(range.clone());
                    *whole = whole.start.min(range.start)..whole.end.max(range.end);
                    if flags & PF_X != 0 {
                        code = range;
                    }
                }
                PT_DYNAMIC => dynamic = Some(range),
                _ => {}
            }
        }
        Some(Self { load: load?, code, dynamic: dynamic? })
    }

    /// Where a virtual address lies in the image.
    fn offset(&self, address: usize) -> Option<usize> {
        address.checked_sub(self.load.start)
    }
}

/// The tables that the dynamic section names, as offsets into the image.
struct Dynamic {
    symbols: usize,
    strings: Range<usize>,
    hash: Option<usize>,
    gnu_hash: Option<usize>,
}

impl Dynamic {
    fn parse(image: &[u8], segments: &Segments) -> Option<Self> {
        let start = segments.offset(segments.dynamic.start)?;
        let end = segments.offset(segments.dynamic.end)?.min(image.len());
        let (mut symbols, mut strings, mut string_bytes) = (None, None, None);
        let (mut hash, mut gnu_hash) = (None, None);
        for entry in image.get(start..end)?.chunks_exact(16) {
            let value = address(entry, 8)?;
            match long(entry, 0)? {
                0 => break,
                DT_SYMTAB => symbols = segments.offset(value),
                DT_STRTAB => strings = segments.offset(value),
                DT_STRSZ => string_bytes = Some(value),
                DT_SYMENT if value != SYMBOL_BYTES => return None,
                DT_HASH => hash = segments.offset(value),
                DT_GNU_HASH => gnu_hash = segments.offset(value),
                _ => {}
            }
        }
        let strings = strings?;
        Some(Self {
            symbols: symbols?,
            strings: strings..strings.checked_add(string_bytes?)?.min(image.len()),
            hash,
            gnu_hash,
        })
    }

    /// The virtual address of the function called `name`.
    fn find(&self, image: &[u8], segments: &Segments, name: &[u8]) -> Option<usize> {
        let by_scan = || self.scan(image, self.hash?, name);
        let by_gnu_hash = || self.walk_gnu_hash(image, self.gnu_hash?, name);
        let address = by_scan().or_else(by_gnu_hash)?;
        segments.load.contains(&address).then_some(address)
    }

    /// Looks at each symbol; the classic hash table says how many there are (gABI 5, "Hash Table": `nchain`).
    fn scan(&self, image: &[u8], table: usize, name: &[u8]) -> Option<usize> {
        let count = word(image, table.checked_add(4)?)?;
        let most = image.len() / SYMBOL_BYTES;
        (0..most.min(count as usize)).find_map(|index| self.symbol(image, index, name))
    }

    /// Follows the one chain in which the symbol must be: a vDSO may be linked with this table alone.
    fn walk_gnu_hash(&self, image: &[u8], table: usize, name: &[u8]) -> Option<usize> {
        let bucket_count = word(image, table)?;
        let first_symbol = word(image, table.checked_add(4)?)?;
        let bloom_words = word(image, table.checked_add(8)?)? as usize;
        let buckets = table.checked_add(16)?.checked_add(bloom_words.checked_mul(8)?)?;
        let chains = buckets.checked_add((bucket_count as usize).checked_mul(4)?)?;
        let bucket = gnu_hash(name).checked_rem(bucket_count)?;
        let mut index = word(image, buckets.checked_add(bucket as usize * 4)?)?;
        for _ in 0..image.len() / SYMBOL_BYTES {
            let link = index.checked_sub(first_symbol)? as usize;
            if let Some(address) = self.symbol(image, index as usize, name) {
                return Some(address);
            }
            if word(image, chains.checked_add(link.checked_mul(4)?)?)? & 1 == 1 {
                return None;
            }
            index = index.checked_add(1)?;
        }
        None
    }

    /// The value of symbol `index` if it is a defined, visible function called `name`.
    fn symbol(&self, image: &[u8], index: usize, name: &[u8]) -> Option<usize> {
        let at = self.symbols.checked_add(index.checked_mul(SYMBOL_BYTES)?)?;
        let entry = image.get(at..at.checked_add(SYMBOL_BYTES)?)?;
        let strings = image.get(self.strings.clone())?;
        let spelled = strings.get(word(entry, 0)? as usize..)?;
        let rest = spelled.strip_prefix(name)?;
        let info = *entry.get(4)?;
        let defined = half(entry, 6)? != 0;
        let visible = matches!(info >> 4, STB_GLOBAL | STB_WEAK);
        (rest.first() == Some(&0) && info & 15 == STT_FUNC && defined && visible)
            .then(|| address(entry, 8))
            .flatten()
    }
}

/// The hash that GNU linkers use for symbol names.
fn gnu_hash(name: &[u8]) -> u32 {
    name.iter().fold(5381, |hash: u32, byte| hash.wrapping_mul(33).wrapping_add(u32::from(*byte)))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn address(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(long(bytes, at)?).ok()
}
