//! Where bytes that were read wait until they are used. Idle connections hold none: a worker lends buffers out of a
//! small stock.

use std::cell::RefCell;

/// The size of a buffer. A head larger than this makes its buffer grow, up to the limit of heads.
const SIZE: usize = 16 * 1024;
/// How many spare buffers a worker keeps.
const SPARE: usize = 64;

thread_local! {
    static STOCK: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes read and not yet used, at the front of memory with room for more.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    memory: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// The bytes that wait.
    pub(crate) fn data(&self) -> &[u8] {
        &self.memory[self.start..self.end]
    }

    /// How many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether none wait.
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Marks bytes at the front as used.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.is_empty() {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Room to read into, at least one byte of it. Grows beyond the usual size where bytes that wait fill it.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.memory.is_empty() {
            self.memory = STOCK.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; SIZE]);
        }
        if self.end == self.memory.len() {
            if self.start > 0 {
                self.memory.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            } else {
                self.memory.resize(self.memory.len() * 2, 0);
            }
        }
        &mut self.memory[self.end..]
    }

    /// Marks bytes of the room as read.
    pub(crate) fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.memory.len());
    }

    /// Gives the memory back while no bytes wait.
    pub(crate) fn rest(&mut self) {
        if !self.is_empty() || self.memory.is_empty() {
            return;
        }
        let memory = std::mem::take(&mut self.memory);
        if memory.len() == SIZE {
            STOCK.with_borrow_mut(|stock| {
                if stock.len() < SPARE {
                    stock.push(memory);
                }
            });
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.consume(self.len());
        self.rest();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(buffer: &mut Buffer, bytes: &[u8]) {
        let room = buffer.room();
        let count = bytes.len().min(room.len());
        room[..count].copy_from_slice(&bytes[..count]);
        buffer.filled(count);
    }

    #[test]
    fn bytes_come_out_in_order() {
        let mut buffer = Buffer::default();
        put(&mut buffer, b"hello");
        buffer.consume(2);
        put(&mut buffer, b" world");
        assert_eq!(buffer.data(), b"llo world");
        buffer.consume(100);
        assert!(buffer.is_empty());
    }

    #[test]
    fn what_waits_moves_before_memory_grows() {
        let mut buffer = Buffer::default();
        put(&mut buffer, &[1; SIZE]);
        buffer.consume(SIZE - 1);
        assert_eq!(buffer.room().len(), SIZE - 1);
        put(&mut buffer, &[2; SIZE]);
        assert_eq!(buffer.len(), SIZE);
        assert_eq!(buffer.room().len(), SIZE, "grown");
        assert_eq!(buffer.data()[..2], [1, 2]);
    }

    #[test]
    fn idle_buffers_are_given_back() {
        let mut buffer = Buffer::default();
        put(&mut buffer, b"x");
        buffer.rest();
        assert_eq!(buffer.data(), b"x", "kept while bytes wait");
        buffer.consume(1);
        buffer.rest();
        assert!(buffer.memory.is_empty());
        assert_eq!(STOCK.with_borrow(Vec::len), 1);
    }
}
