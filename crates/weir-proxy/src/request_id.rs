//! Ids for requests: unpredictable and unique. Each is a draw of its own, so that nothing is kept that a copy of this
//! process, or of its machine, would use again. Ids are no secrets: when the kernel gives nothing, requests go on under ids
//! that are only unique.

use weir_kernel::Purpose;
use weir_plugin::RequestId;

/// Makes a worker's request ids.
pub(crate) struct RequestIds {
    /// For ids when the kernel gives nothing: the worker's number, and how many it has made.
    worker: u16,
    made: u64,
}

impl RequestIds {
    pub(crate) fn new(worker: u16) -> Self {
        Self { worker, made: 0 }
    }

    pub(crate) fn next(&mut self) -> RequestId {
        let mut id = [0; 16];
        match weir_kernel::try_fill_for(Purpose::RequestId, &mut id) {
            Ok(()) => RequestId::new(id),
            Err(_) => self.plain(),
        }
    }

    /// Unique on this machine since its last boot, and no secret to anybody.
    #[cold]
    fn plain(&mut self) -> RequestId {
        self.made += 1;
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
        let mut ids = RequestIds::new(1);
        let mut seen = HashSet::new();
        for _ in 0..1000 {
            assert!(seen.insert(ids.next().as_str().to_owned()));
            assert!(seen.insert(ids.plain().as_str().to_owned()));
        }
        assert!(seen.iter().all(|id| id.len() == 32));
    }
}
