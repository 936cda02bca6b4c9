//! Ids for requests: unpredictable and unique, at no system call each.
//!
//! Where the kernel draws in the vDSO, each id is a draw of its own. Elsewhere one system call draws for many; a buffer
//! that is copied to another process would repeat its ids there, and Weir never forks. Ids are no secrets: when the
//! kernel gives nothing, requests go on under ids that are only unique.

use weir_kernel::{Purpose, Way};
use weir_plugin::RequestId;

/// How many ids one system call draws for.
const BATCH: usize = 32;

/// Makes a worker's request ids.
pub(crate) struct RequestIds {
    direct: bool,
    batch: [[u8; 16]; BATCH],
    left: usize,
    /// For ids when the kernel gives nothing: the worker's number, and how many it has made.
    worker: u16,
    made: u64,
}

impl RequestIds {
    pub(crate) fn new(worker: u16) -> Self {
        let direct = weir_kernel::way() == Way::Vdso;
        Self { direct, batch: [[0; 16]; BATCH], left: 0, worker, made: 0 }
    }

    pub(crate) fn next(&mut self) -> RequestId {
        self.made += 1;
        if self.direct {
            let mut id = [0; 16];
            return match weir_kernel::try_fill_for(Purpose::RequestId, &mut id) {
                Ok(()) => RequestId::new(id),
                Err(_) => self.plain(),
            };
        }
        if self.left == 0 {
            if weir_kernel::try_fill_for(Purpose::RequestId, self.batch.as_flattened_mut()).is_err() {
                return self.plain();
            }
            self.left = BATCH;
        }
        self.left -= 1;
        RequestId::new(std::mem::take(&mut self.batch[self.left]))
    }

    /// Unique on this machine since its last boot, and no secret to anybody.
    #[cold]
    fn plain(&self) -> RequestId {
        let mut id = [0; 16];
        id[..8]
            .copy_from_slice(&(weir_kernel::clock::unix_ms() << 16 | u64::from(self.worker)).to_be_bytes());
        id[8..].copy_from_slice(&self.made.to_be_bytes());
        RequestId::new(id)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_unique_however_they_are_made() {
        let mut direct = RequestIds { direct: true, ..RequestIds::new(0) };
        let mut batched = RequestIds { direct: false, ..RequestIds::new(1) };
        let mut seen = HashSet::new();
        for _ in 0..1000 {
            assert!(seen.insert(direct.next().as_str().to_owned()));
            assert!(seen.insert(batched.next().as_str().to_owned()));
            direct.made += 1;
            assert!(seen.insert(direct.plain().as_str().to_owned()));
        }
        assert!(seen.iter().all(|id| id.len() == 32));
    }
}
