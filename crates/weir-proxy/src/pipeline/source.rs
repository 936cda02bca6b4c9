//! Where a request's body comes from on its way to the service.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};

use crate::body::{BodyError, BodySource, Whole};
use crate::server::Downstream;

/// Where a request's body comes from: memory, if all of it is there; else what was read ahead, then the client.
pub(super) struct Source<'d, D> {
    pub(super) whole: Option<Whole>,
    pub(super) start: Option<Whole>,
    pub(super) down: &'d mut D,
}

impl<D: Downstream> Source<'_, D> {
    /// Goes back to the beginning. Says whether that is possible.
    pub(super) fn rewind(&mut self) -> bool {
        match &mut self.whole {
            Some(whole) => {
                whole.rewind();
                true
            }
            None => false,
        }
    }
}

impl<D: Downstream> BodySource for Source<'_, D> {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, BodyError>> {
        if let Some(whole) = &mut self.whole {
            return whole.poll_body(cx);
        }
        if let Some(start) = &mut self.start {
            if !start.body().is_empty() {
                return Poll::Ready(Ok(true));
            }
            self.start = None;
        }
        self.down.poll_body(cx)
    }

    fn body(&self) -> &[u8] {
        match (&self.whole, &self.start) {
            (Some(whole), _) => whole.body(),
            (None, Some(start)) => start.body(),
            (None, None) => self.down.body(),
        }
    }

    fn used(&mut self, count: usize) {
        match (&mut self.whole, &mut self.start) {
            (Some(whole), _) => whole.used(count),
            (None, Some(start)) => start.used(count),
            (None, None) => self.down.used(count),
        }
    }
}

/// A body that was read into memory.
pub(super) enum Collected {
    Whole(Bytes),
    /// More than fits: this is how it begins.
    Part(Bytes),
}

pub(super) async fn collect<D: Downstream>(down: &mut D, limit: usize) -> Result<Collected, BodyError> {
    let mut bytes = BytesMut::new();
    poll_fn(|cx| poll_collect(cx, down, &mut bytes, limit)).await
}

/// What of a body is here already.
pub(super) async fn collect_ready<D: Downstream>(down: &mut D, limit: usize) -> Result<Collected, BodyError> {
    let mut bytes = BytesMut::new();
    poll_fn(|cx| match poll_collect(cx, down, &mut bytes, limit) {
        Poll::Pending => Poll::Ready(Ok(Collected::Part(std::mem::take(&mut bytes).freeze()))),
        ready => ready,
    })
    .await
}

fn poll_collect<D: Downstream>(
    cx: &mut Context<'_>,
    down: &mut D,
    bytes: &mut BytesMut,
    limit: usize,
) -> Poll<Result<Collected, BodyError>> {
    loop {
        match ready!(down.poll_body(cx)) {
            Ok(false) => return Poll::Ready(Ok(Collected::Whole(std::mem::take(bytes).freeze()))),
            Ok(true) if bytes.len() >= limit => {
                return Poll::Ready(Ok(Collected::Part(std::mem::take(bytes).freeze())));
            }
            Ok(true) => {
                let piece = down.body();
                let count = piece.len();
                bytes.extend_from_slice(piece);
                down.used(count);
            }
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}
