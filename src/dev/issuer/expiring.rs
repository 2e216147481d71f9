//! A bounded map whose entries end by the clock. Never grows past its capacity: the entry that ends first goes,
//! of several the oldest: a refresh token in use is younger than those that it superseded.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use crate::clock::Timestamp;

/// See the file's head.
#[derive(Debug)]
pub struct Expiring<K, V> {
    entries: HashMap<K, Entry<V>>,
    capacity: usize,
    added: u64,
}

#[derive(Debug)]
struct Entry<V> {
    /// When it ends, and how many were added before it.
    order: (Timestamp, u64),
    value: V,
}

impl<K: Eq + Hash + Clone, V> Expiring<K, V> {
    /// Room for `capacity` entries.
    pub fn new(capacity: usize) -> Self {
        Self { entries: HashMap::new(), capacity, added: 0 }
    }

    /// Keeps `value` until `ends`.
    pub fn insert(&mut self, key: K, value: V, ends: Timestamp, now: Timestamp) {
        if self.entries.len() >= self.capacity {
            self.entries.retain(|_, entry| now < entry.order.0);
        }
        if self.entries.len() >= self.capacity
            && let Some(first) =
                self.entries.iter().min_by_key(|(_, entry)| entry.order).map(|(key, _)| key.clone())
        {
            self.entries.remove(&first);
        }
        let order = (ends, self.added);
        self.added += 1;
        self.entries.insert(key, Entry { order, value });
    }

    /// The entry, if it has not ended, and when it ends.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q, now: Timestamp) -> Option<(&V, Timestamp)>
    where
        K: Borrow<Q>,
    {
        let live = self.entries.get(key).filter(|entry| now < entry.order.0)?;
        Some((&live.value, live.order.0))
    }

    /// As [`Self::get`], to change.
    pub fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q, now: Timestamp) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let live = self.entries.get_mut(key).filter(|entry| now < entry.order.0)?;
        Some(&mut live.value)
    }

    /// Forgets the entry.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.entries.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_ends_at_its_time_and_not_a_second_later() {
        let mut map = Expiring::new(4);
        map.insert("a", 1, Timestamp(10), Timestamp(0));
        assert_eq!(map.get("a", Timestamp(9)), Some((&1, Timestamp(10))));
        assert_eq!(map.get("a", Timestamp(10)), None);
        assert_eq!(map.get_mut("a", Timestamp(10)), None);
    }

    #[test]
    fn a_full_map_drops_ended_entries_first_and_then_the_one_that_ends_next() {
        let mut map = Expiring::new(2);
        map.insert("ended", 0, Timestamp(5), Timestamp(0));
        map.insert("late", 1, Timestamp(100), Timestamp(0));
        map.insert("soon", 2, Timestamp(50), Timestamp(6));
        assert!(map.get("late", Timestamp(6)).is_some() && map.get("soon", Timestamp(6)).is_some());
        map.insert("new", 3, Timestamp(60), Timestamp(6));
        assert!(map.get("soon", Timestamp(6)).is_none(), "the entry that ends first goes");
        assert!(map.get("late", Timestamp(6)).is_some() && map.get("new", Timestamp(6)).is_some());
    }

    #[test]
    fn of_entries_that_end_together_the_oldest_goes() {
        let mut map = Expiring::new(100);
        for n in 0..300 {
            map.insert(n, (), Timestamp(50), Timestamp(0));
        }
        let kept = |n| map.get(&n, Timestamp(0)).is_some();
        assert!((0..200).all(|n| !kept(n)) && (200..300).all(kept));
    }
}
