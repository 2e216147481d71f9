//! The body of a request as its handler reads it: out of the connection's own buffer, as fast as it wants to.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_core::Stream;

use super::inbox::{Inbox, Incoming};
use crate::http1::Decoder;

/// The payload of a request that begins with this framing; `None`: without a body.
pub(super) fn payload(inbox: &Rc<Inbox>, framing: Option<Decoder>) -> Payload {
    let Some(framing) = framing else {
        inbox.begin_without_body();
        return Payload::None;
    };
    let message = inbox.begin(framing);
    Payload::Stream { payload: Box::pin(Incoming { inbox: Rc::clone(inbox), message }) }
}

impl Stream for Incoming {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inbox.poll_body(self.message, cx)
    }
}
