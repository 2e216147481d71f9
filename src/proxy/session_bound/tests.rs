//! When a body is watched, and how it ends.

use std::rc::Rc;
use std::task::Waker;

use actix_web::HttpResponse;
use actix_web::body::BodyStream;
use futures_util::StreamExt as _;
use futures_util::stream::{iter, pending};
use tokio::sync::Notify;
use tokio::time::advance;

use super::*;

type Chunk = Result<Bytes, Box<dyn std::error::Error>>;

/// One chunk, then silence.
fn open_ended() -> Reply {
    let start = iter([Ok::<_, SessionOver>(Bytes::from_static(b"one"))]);
    HttpResponse::Ok().body(BodyStream::new(start.chain(pending()))).into()
}

async fn next(body: &mut BoxBody) -> Option<Chunk> {
    std::future::poll_fn(|cx| Pin::new(&mut *body).poll_next(cx)).await
}

/// Whether the next chunk is not there yet.
fn is_waiting(body: &mut BoxBody) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    Pin::new(body).poll_next(&mut cx).is_pending()
}

/// The reply's body, and what ends its session.
fn bound(reply: Reply, is_event_stream: bool) -> (BoxBody, Rc<Notify>) {
    let end = Rc::new(Notify::new());
    let waits = Rc::clone(&end);
    let over = async move {
        waits.notified().await;
        Ending::SessionEnded
    };
    (bind_to_session(reply, is_event_stream, || over).into_parts().1, end)
}

// proves: PX-16
#[tokio::test(start_paused = true)]
async fn an_event_stream_ends_cleanly_with_its_session() {
    let (mut body, end) = bound(open_ended(), true);
    assert!(next(&mut body).await.is_some_and(|chunk| chunk.is_ok()));
    assert!(is_waiting(&mut body));
    end.notify_waiters();
    assert!(next(&mut body).await.is_none());
    assert!(next(&mut body).await.is_none());
}

// proves: PX-09, PX-16
#[tokio::test(start_paused = true)]
async fn any_other_body_breaks_off_and_is_watched_only_when_it_lasts() {
    let (mut body, end) = bound(open_ended(), false);
    assert!(next(&mut body).await.is_some_and(|chunk| chunk.is_ok()));
    assert!(is_waiting(&mut body));
    end.notify_waiters();
    assert!(is_waiting(&mut body), "not watched yet");
    advance(ORDINARY).await;
    assert!(is_waiting(&mut body));
    end.notify_waiters();
    assert!(next(&mut body).await.is_some_and(|chunk| chunk.is_err()));
}

#[tokio::test]
async fn a_small_body_is_left_as_it_is() {
    let end = || async { Ending::SessionEnded };
    for small in [HttpResponse::Ok().body("hi"), HttpResponse::NoContent().finish()] {
        let (_, body) = bind_to_session(small.into(), false, end).into_parts();
        assert!(body.try_into_bytes().is_ok());
    }
}
