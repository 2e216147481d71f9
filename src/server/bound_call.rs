//! A call whose token is bound to a key (DPoP): it is sent once more where the API wants its nonce in the proof, if that does not take a
//! body which has gone (SC-05). A small body is kept for that, no larger one ever is.

use std::future::{Future, ready};
use std::time::Duration;

use actix_web::dev::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::once;
use tokio::time::timeout;

use crate::edge::{Code, Problem, Request};
use crate::proxy::{Forwarded, ProxyError};

/// The largest body that is kept, bytes, and how long it may take to come.
const MOST_KEPT: usize = 16 * 1024;
const COMES_WITHIN: Duration = Duration::from_secs(30);

/// What a second try would be sent with.
enum Kept {
    Nothing,
    Whole(Bytes),
    /// Too large, or nobody knows how large.
    Gone,
}

/// Sends the call by `send`, and once more if the API asks for its nonce.
///
/// # Errors
/// Those of `send`; the nonce is wanted and the body is gone, or it did not come.
pub async fn sent<F>(
    request: &Request,
    body: Payload,
    send: impl Fn(Payload) -> F,
) -> Result<Forwarded, Problem>
where
    F: Future<Output = Result<Forwarded, Problem>>,
{
    let (first, kept) = keep(request, body).await?;
    let answer = send(first).await?;
    if !answer.nonce_wanted {
        return Ok(answer);
    }
    // The refusal's connection is of no more use.
    drop(answer);
    match kept {
        Kept::Nothing => send(Payload::None).await,
        Kept::Whole(bytes) => send(payload(bytes)).await,
        // The nonce is known by now: the next try has it in its proof.
        Kept::Gone => Err(Problem::new(Code::ApiNonceNeeded).with_retry_after(1)),
    }
}

async fn keep(request: &Request, body: Payload) -> Result<(Payload, Kept), Problem> {
    if matches!(body, Payload::None) {
        return Ok((body, Kept::Nothing));
    }
    let length = request.fields().text("content-length");
    let length: Option<usize> = length.and_then(|length| length.trim().parse().ok());
    if length.is_none_or(|length| length > MOST_KEPT) {
        return Ok((body, Kept::Gone));
    }
    let whole = timeout(COMES_WITHIN, whole(body)).await.ok().flatten();
    let incomplete = ProxyError::BadRequest("the request body did not come to its end");
    let whole = whole.ok_or_else(|| Problem::from(incomplete))?;
    Ok((payload(whole.clone()), Kept::Whole(whole)))
}

async fn whole(mut body: Payload) -> Option<Bytes> {
    let mut all = BytesMut::new();
    while let Some(chunk) = body.next().await {
        all.extend_from_slice(&chunk.ok()?);
        if all.len() > MOST_KEPT {
            return None;
        }
    }
    Some(all.freeze())
}

fn payload(bytes: Bytes) -> Payload {
    Payload::Stream { payload: Box::pin(once(ready(Ok(bytes)))) }
}
