//! Keys that change while values are sealed and opened, and what is counted of them.

use std::io::{self, Write};
use std::sync::Mutex;

use super::*;
use crate::secret::Secret;

fn key(id: &str, byte: u8) -> CookieKey {
    CookieKey { id: id.to_owned(), bytes: Secret::new([byte; 32]) }
}

fn context() -> Context<'static> {
    Context { owner: b"owner", bound_to: None }
}

fn sealed(ring: &KeyRing) -> String {
    ring.seal(Purpose::Record, b"plain", context(), &Random::system()).unwrap()
}

fn opened(ring: &KeyRing, value: &str) -> Result<Vec<u8>, OpenFailure> {
    ring.open(Purpose::Record, value, context())
}

fn changed(ring: &KeyRing, keys: &[CookieKey]) -> Option<(String, bool, Vec<String>, Vec<String>)> {
    let KeysChanged { sealing, promoted, added, retired } =
        ring.install(ring.prepare(keys).unwrap())?;
    Some((sealing, promoted, added, retired))
}

// proves: KM-02
#[test]
fn keys_are_added_promoted_and_retired_and_values_open_as_long_as_their_key_is_there() {
    let ring = KeyRing::new(&[key("one", 1)]).unwrap();
    let first = sealed(&ring);
    assert!(ring.is_current(&first));
    assert_eq!(changed(&ring, &[key("one", 1)]), None, "the same");
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let added = changed(&ring, &[key("one", 1), key("two", 2)]);
    assert_eq!(added, Some(("one".to_owned(), false, list(&["two"]), list(&[]))));
    assert!(ring.is_current(&sealed(&ring)) && ring.is_current(&first));
    let promoted = changed(&ring, &[key("two", 2), key("one", 1)]);
    assert_eq!(promoted, Some(("two".to_owned(), true, list(&[]), list(&[]))));
    let second = sealed(&ring);
    assert!(ring.is_current(&second) && !ring.is_current(&first));
    assert_eq!(opened(&ring, &first).unwrap(), b"plain");
    let retired = changed(&ring, &[key("two", 2)]);
    assert_eq!(retired, Some(("two".to_owned(), false, list(&[]), list(&["one"]))));
    assert_eq!(opened(&ring, &first), Err(OpenFailure::Unknown), "kept, for it may come back");
    assert_eq!(opened(&ring, &second).unwrap(), b"plain");
    // Another key under a known id is another key.
    let swapped = changed(&ring, &[key("two", 3)]);
    assert_eq!(swapped, Some(("two".to_owned(), true, list(&["two"]), list(&["two"]))));
    assert_eq!(opened(&ring, &second), Err(OpenFailure::Invalid));
}

// proves: KM-02
#[test]
fn what_cannot_be_a_ring_changes_nothing() {
    let ring = KeyRing::new(&[key("one", 1)]).unwrap();
    let value = sealed(&ring);
    assert_eq!(ring.prepare(&[]).err(), Some(SessionError::NoKey));
    let twice = ring.prepare(&[key("two", 2), key("two", 3)]).err();
    assert_eq!(twice, Some(SessionError::KeyIdCollision));
    assert_eq!(opened(&ring, &value).unwrap(), b"plain");
}

#[test]
fn only_a_whole_name_of_the_sealing_key_is_current() {
    let ring = KeyRing::new(&[key("one", 1)]).unwrap();
    let value = sealed(&ring);
    for other in
        ["", "AAAA", "!!!!!!!!!!!", "AAAAAAAAAAAAAAAA", &value[..7], "\u{e9}\u{e9}\u{e9}\u{e9}x"]
    {
        assert!(!ring.is_current(other), "{other:?}");
    }
}

/// What was logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// proves: KM-04
#[test]
fn seals_are_counted_by_key_over_rotations_and_a_worn_key_is_told_of_once() {
    let counters: Arc<Mutex<Vec<(String, Counter)>>> = Arc::default();
    let made = Arc::clone(&counters);
    let counter: CounterOf = Box::new(move |id| {
        let mut made = made.lock().unwrap();
        if let Some((_, known)) = made.iter().find(|(name, _)| name == id) {
            return known.clone();
        }
        made.push((id.to_owned(), Counter::default()));
        made.last().unwrap().1.clone()
    });
    let mut ring = KeyRing::counted(&[key("one", 1)], counter).unwrap();
    ring.worn = 3;
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        for round in 0..6 {
            sealed(&ring);
            // Reading the configuration again counts on.
            let keys = [key("one", 1), key("two", 2), key("three", 3)];
            ring.install(ring.prepare(&keys[..=(round % 3)]).unwrap());
        }
        ring.install(ring.prepare(&[key("two", 2), key("one", 1)]).unwrap());
        sealed(&ring);
    });
    let seals = |id: &str| {
        let counters = counters.lock().unwrap();
        counters.iter().find(|(name, _)| name == id).map(|(_, counter)| counter.get())
    };
    assert_eq!((seals("one"), seals("two")), (Some(6), Some(1)));
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.matches("key_worn").count(), 1, "{text}");
    assert!(text.contains("one") && !text.contains("two"), "{text}");
}
