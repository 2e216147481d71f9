//! Where answers are made. A desk takes one request after the other, of whatever connection: the future that makes an answer is large,
//! and so it is neither allocated nor moved for each. Never gives the answer to one request to another: a desk whose client has gone is
//! thrown away with all that it was doing.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::dev::Payload;

use crate::edge::{Reply, Request};

/// Free desks that are kept; as many as are at work at the same time exist beside them.
const KEPT: usize = 64;

/// The desks of a worker.
pub(super) struct Desks {
    make: Box<dyn Fn() -> Desk>,
    free: RefCell<Vec<Desk>>,
}

impl Desks {
    /// Desks at which `handler` works.
    pub fn new<F>(handler: impl Fn(Request, Payload) -> F + 'static) -> Self
    where
        F: Future<Output = Reply>,
    {
        let handler = Rc::new(handler);
        let make = move || Desk::new(Rc::clone(&handler));
        Self { make: Box::new(make), free: RefCell::default() }
    }

    /// Puts a request on a desk; [`Desk::poll`] gives the answer.
    pub fn ask(&self, request: Request, body: Payload) -> Desk {
        let free = self.free.borrow_mut().pop();
        let desk = free.unwrap_or_else(|| (self.make)());
        desk.tray.asked.set(Some((request, body)));
        desk
    }

    /// Takes a desk back that has given its answer. One that has not is thrown away.
    pub fn free(&self, desk: Desk) {
        let mut free = self.free.borrow_mut();
        if desk.tray.is_free.get() && free.len() < KEPT {
            free.push(desk);
        }
    }
}

/// One of them. Dropped, it ends what it was doing.
pub(super) struct Desk {
    tray: Rc<Tray>,
    work: Pin<Box<dyn Future<Output = ()>>>,
}

/// What is handed over.
#[derive(Default)]
struct Tray {
    /// Nobody is at work.
    is_free: Cell<bool>,
    asked: Cell<Option<(Request, Payload)>>,
    answer: Cell<Option<Reply>>,
}

impl Desk {
    fn new<F>(handler: Rc<impl Fn(Request, Payload) -> F + 'static>) -> Self
    where
        F: Future<Output = Reply>,
    {
        let tray = Rc::<Tray>::default();
        let place = Rc::clone(&tray);
        let work = Box::pin(async move {
            loop {
                place.is_free.set(true);
                // Whoever puts something there polls.
                let next = poll_fn(|_| place.asked.take().map_or(Poll::Pending, Poll::Ready));
                let (request, body) = next.await;
                place.is_free.set(false);
                // What made it is gone with this line, the body among it.
                let answer = handler(request, body).await;
                place.answer.set(Some(answer));
            }
        });
        Self { tray, work }
    }

    /// Works on; ready with the answer.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Reply> {
        // Never over.
        let _: Poll<()> = self.work.as_mut().poll(cx);
        self.tray.answer.take().map_or(Poll::Pending, Poll::Ready)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use actix_web::HttpResponse;
    use actix_web::body::MessageBody as _;
    use tokio::task::yield_now;

    use super::*;

    /// Says its path at the second poll; the count is of handlers that have begun and not ended.
    fn desks(at_work: &Rc<()>) -> Desks {
        let at_work = Rc::clone(at_work);
        Desks::new(move |request: Request, _| {
            let working = Rc::clone(&at_work);
            async move {
                yield_now().await;
                drop(working);
                HttpResponse::Ok().body(request.path().to_owned()).into()
            }
        })
    }

    fn ask(desks: &Desks, path: &str) -> Desk {
        desks.ask(Request::test("GET", path, &[]), Payload::None)
    }

    fn poll(desk: &mut Desk) -> Option<String> {
        match desk.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => None,
            Poll::Ready(reply) => {
                let body = reply.into_parts().1.try_into_bytes().ok()?;
                Some(String::from_utf8(body.to_vec()).unwrap())
            }
        }
    }

    #[test]
    fn an_answer_is_that_to_the_request_on_its_desk_and_a_free_desk_serves_the_next() {
        let at_work = Rc::new(());
        let desks = desks(&at_work);
        let (mut a, mut b) = (ask(&desks, "/a"), ask(&desks, "/b"));
        assert_eq!((poll(&mut a), poll(&mut b)), (None, None));
        assert_eq!(poll(&mut b).as_deref(), Some("/b"));
        let place = Rc::as_ptr(&b.tray);
        desks.free(b);
        let mut c = ask(&desks, "/c");
        assert_eq!(Rc::as_ptr(&c.tray), place);
        assert_eq!((poll(&mut c), poll(&mut a).as_deref()), (None, Some("/a")));
        assert_eq!(poll(&mut c).as_deref(), Some("/c"));
        assert_eq!(Rc::strong_count(&at_work), 2, "nobody is at work any more");
    }

    #[test]
    fn a_desk_that_is_thrown_away_ends_what_it_was_doing() {
        let at_work = Rc::new(());
        let desks = desks(&at_work);
        let give_back = |desk| desks.free(desk);
        for give_up in [&drop as &dyn Fn(Desk), &give_back] {
            let mut gone = ask(&desks, "/gone");
            assert_eq!((poll(&mut gone), Rc::strong_count(&at_work)), (None, 3));
            give_up(gone);
            assert_eq!(Rc::strong_count(&at_work), 2);
        }
        let mut next = ask(&desks, "/next");
        assert_eq!((poll(&mut next), poll(&mut next).as_deref()), (None, Some("/next")));
    }

    #[test]
    fn no_more_free_desks_are_kept_than_are_of_use() {
        let desks = desks(&Rc::new(()));
        let mut busy: Vec<Desk> = (0..KEPT + 3).map(|_| ask(&desks, "/")).collect();
        for desk in &mut busy {
            assert_eq!((poll(desk), poll(desk).as_deref()), (None, Some("/")));
        }
        for desk in busy {
            desks.free(desk);
        }
        assert_eq!(desks.free.borrow().len(), KEPT);
    }
}
