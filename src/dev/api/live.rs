//! The demo API's live data: a feed of events, and a WebSocket that says everything back. Small messages only, no
//! extensions; a real API would use a WebSocket library.

use std::convert::Infallible;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, SEC_WEBSOCKET_ACCEPT};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use serde_json::json;

use crate::edge::Request;
use crate::http1::{Fields, RequestHead};
use crate::proxy::Handshake;

use super::caller::Caller;

/// Between two events.
const EVERY: Duration = Duration::from_millis(500);
/// Bytes of a frame.
const MOST: usize = 16 * 1024;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// `GET /api/events`: counts for as long as somebody listens.
pub async fn events(caller: Caller) -> HttpResponse {
    let sub = caller.0.get("sub").cloned();
    let counted = stream::unfold(0_u64, move |count| {
        let event = json!({ "count": count, "sub": sub });
        async move {
            if count > 0 {
                tokio::time::sleep(EVERY).await;
            }
            let text = format!("id: {count}\ndata: {event}\n\n");
            Some((Ok::<_, Infallible>(Bytes::from(text)), count + 1))
        }
    });
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .streaming(counted)
}

/// The handshake of a request; the dev listeners are ordinary actix-web.
fn handshake(request: &HttpRequest) -> Option<Handshake> {
    let fields = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let is_http10 = request.version() == actix_web::http::Version::HTTP_10;
    let head = RequestHead {
        method: request.method().as_str().parse().ok()?,
        target: request.uri().to_string().into(),
        version: if is_http10 { http::Version::HTTP_10 } else { http::Version::HTTP_11 },
        fields: Fields::copied(fields),
    };
    Handshake::read(&Request::new(head, None)?)
}

/// `GET /api/socket`: a WebSocket that says everything back.
pub async fn socket(request: HttpRequest, _caller: Caller, body: web::Payload) -> HttpResponse {
    let Some(handshake) = handshake(&request) else {
        return HttpResponse::BadRequest().json(json!({ "error": "no_handshake" }));
    };
    let echo =
        stream::unfold((body, BytesMut::new(), false), |(mut body, mut seen, over)| async move {
            if over {
                return None;
            }
            loop {
                match take_frame(&mut seen) {
                    Taken::Frame(first, payload) => {
                        let opcode = first & 0x0f;
                        let first = if opcode == PING { first & 0xf0 | PONG } else { first };
                        if opcode != PONG {
                            let answer = Ok::<_, Infallible>(frame(first, &payload));
                            return Some((answer, (body, seen, opcode == CLOSE)));
                        }
                    }
                    Taken::Partly => match body.next().await {
                        Some(Ok(piece)) => seen.extend_from_slice(&piece),
                        _ => return None,
                    },
                    Taken::Wrong => return None,
                }
            }
        });
    HttpResponse::SwitchingProtocols()
        .upgrade("websocket")
        .insert_header((SEC_WEBSOCKET_ACCEPT, handshake.accept()))
        .streaming(echo)
}

/// What the bytes so far begin with.
enum Taken {
    /// The first byte of a frame, and its payload without the mask.
    Frame(u8, Vec<u8>),
    Partly,
    /// Not masked (RFC 6455 section 5.1), or too large.
    Wrong,
}

fn take_frame(seen: &mut BytesMut) -> Taken {
    let Some([first, second]) = seen.first_chunk().copied() else { return Taken::Partly };
    let (length, head) = match second & 0x7f {
        126 => match seen.get(2..).and_then(<[u8]>::first_chunk) {
            Some(length) => (usize::from(u16::from_be_bytes(*length)), 4),
            None => return Taken::Partly,
        },
        127 => return Taken::Wrong,
        length => (usize::from(length), 2),
    };
    if second & 0x80 == 0 || length > MOST {
        return Taken::Wrong;
    }
    let Some(mask) = seen.get(head..).and_then(<[u8]>::first_chunk::<4>).copied() else {
        return Taken::Partly;
    };
    if seen.len() < head + 4 + length {
        return Taken::Partly;
    }
    seen.advance(head + 4);
    let payload = seen.split_to(length);
    let plain = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    Taken::Frame(first, plain.collect())
}

fn frame(first: u8, payload: &[u8]) -> Bytes {
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(length) if length < 126 => frame.push(length),
        _ => {
            frame.push(126);
            frame.extend(u16::try_from(payload.len()).unwrap_or_default().to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame.into()
}
