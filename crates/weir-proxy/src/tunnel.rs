//! What follows a switch of protocols: bytes, both ways, until both sides are done or neither says anything for long.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::time::{Instant, timeout_at};

use crate::http1::buffer::Buffer;
use crate::io::{Stream, Upstream};

/// Passes bytes between a client and a service. What was read ahead on either side goes first.
pub(crate) async fn run<S: Stream>(
    client: S,
    from_client: Buffer,
    service: Upstream,
    from_service: Buffer,
    idle: Duration,
) {
    let (mut client_in, mut client_out) = split(client);
    let (mut service_in, mut service_out) = split(service);
    let last = std::cell::Cell::new(Instant::now());
    let up = copy(&mut client_in, &mut service_out, from_client, &last);
    let down = copy(&mut service_in, &mut client_out, from_service, &last);
    let watch = async {
        loop {
            let deadline = last.get() + idle;
            if timeout_at(deadline, std::future::pending::<()>()).await.is_err()
                && last.get() + idle <= Instant::now()
            {
                return;
            }
        }
    };
    tokio::select! {
        _ = async { tokio::join!(up, down) } => {}
        () = watch => {}
    }
}

async fn copy(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    mut buffer: Buffer,
    last: &std::cell::Cell<Instant>,
) {
    loop {
        if buffer.is_empty() {
            match from.read(buffer.room()).await {
                Ok(0) | Err(_) => break,
                Ok(count) => buffer.filled(count),
            }
        }
        last.set(Instant::now());
        if to.write_all(buffer.data()).await.is_err() || to.flush().await.is_err() {
            break;
        }
        buffer.consume(buffer.len());
    }
    // The other direction may go on: this one only says that nothing more comes.
    let _ = to.shutdown().await;
}
