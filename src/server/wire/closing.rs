//! Tells the connections of one worker that no more requests are wanted: those that wait for one close at once, others after their
//! answer. Never touches an answer.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};

/// Shared by the connections of a worker.
#[derive(Clone, Default)]
pub(super) struct Closing(Rc<Shared>);

#[derive(Default)]
struct Shared {
    has_begun: Cell<bool>,
    seats: RefCell<Vec<Option<Waker>>>,
    free: RefCell<Vec<usize>>,
}

impl Closing {
    /// From now on.
    pub fn begin(&self) {
        self.0.has_begun.set(true);
        // Taken out first: a waker may do what it likes.
        let waiting: Vec<Waker> =
            self.0.seats.borrow_mut().iter_mut().filter_map(Option::take).collect();
        waiting.into_iter().for_each(Waker::wake);
    }

    pub fn has_begun(&self) -> bool {
        self.0.has_begun.get()
    }

    /// For a new connection.
    pub fn seat(&self) -> Seat {
        Seat { closing: self.clone(), at: None }
    }
}

/// A connection's place among those that are told.
pub(super) struct Seat {
    closing: Closing,
    at: Option<usize>,
}

impl Seat {
    /// Whether it has begun; if not, the task is woken when it does.
    pub fn has_begun(&mut self, cx: &mut Context<'_>) -> bool {
        if self.closing.has_begun() {
            return true;
        }
        let mut seats = self.closing.0.seats.borrow_mut();
        let at = *self.at.get_or_insert_with(|| {
            self.closing.0.free.borrow_mut().pop().unwrap_or_else(|| {
                seats.push(None);
                seats.len() - 1
            })
        });
        if let Some(seat) = seats.get_mut(at) {
            // The same task every time.
            match seat {
                Some(waker) if waker.will_wake(cx.waker()) => {}
                seat => *seat = Some(cx.waker().clone()),
            }
        }
        false
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(at) = self.at {
            if let Some(seat) = self.closing.0.seats.borrow_mut().get_mut(at) {
                *seat = None;
            }
            self.closing.0.free.borrow_mut().push(at);
        }
    }
}
