//! How often somebody may come: a number of requests at once, refilled over the unit of time (the generic cell rate
//! algorithm). Memory is fixed whoever calls: a table of times, found by a keyed hash. Who shares both places of the table with
//! busy others may be asked to wait though there is room; nobody is ever let in beyond a limit for it.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hash};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Rate;

/// The table: 64 rows with a lock each, of 1024 places; 512 KiB.
const ROWS: usize = 1 << 6;
const PLACES: usize = 1 << 10;

/// What was let in lately, of all limits of a process; clones share it.
#[derive(Clone)]
pub struct Rates(Arc<Table>);

struct Table {
    /// Until when a place's allowance is used up, nanoseconds after `began`.
    used_until: Vec<Mutex<Vec<u64>>>,
    began: Instant,
    hasher: RandomState,
}

impl Default for Rates {
    fn default() -> Self {
        let used_until = (0..ROWS).map(|_| Mutex::new(vec![0; PLACES])).collect();
        Self(Arc::new(Table { used_until, began: Instant::now(), hasher: RandomState::new() }))
    }
}

impl Rates {
    /// Counts a request of `client`; without room it is not counted, and the error says when there will be some.
    ///
    /// # Errors
    /// Whole seconds to wait, at least one.
    pub fn admit(&self, rate: Rate, client: impl Hash) -> Result<(), u32> {
        // A limit that is changed begins anew: what was used up of another one says nothing.
        let [row_at, one, other] = self.place((rate, client));
        let Some(row) = self.0.used_until.get(row_at) else { return Ok(()) };
        let mut row = row.lock().unwrap_or_else(PoisonError::into_inner);
        let now = nanos(self.0.began.elapsed());
        let until = |at: usize| row.get(at).copied().unwrap_or(0);
        // Both places are at least as full as this caller made them: the emptier one is nearer to the truth.
        let used = until(one).min(until(other)).max(now);
        let next = used.saturating_add(nanos(rate.per) / u64::from(rate.times.max(1)));
        let over = next.saturating_sub(now).saturating_sub(nanos(rate.per));
        if over > 0 {
            return Err(u32::try_from(over.div_ceil(SECOND)).unwrap_or(u32::MAX));
        }
        for at in [one, other] {
            if let Some(until) = row.get_mut(at) {
                *until = (*until).max(next);
            }
        }
        Ok(())
    }

    /// A row, and two places in it.
    fn place(&self, client: impl Hash) -> [usize; 3] {
        let hash = self.0.hasher.hash_one(client);
        let bits = |from: u32, most: usize| usize::try_from(hash >> from).map_or(0, |n| n % most);
        [bits(0, ROWS), bits(16, PLACES), bits(32, PLACES)]
    }
}

const SECOND: u64 = 1_000_000_000;

/// Whom an address stands for: with IPv6 a household or a machine has a whole /64.
pub fn client_key(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(_) => address.octets(),
            None => (u128::from(address) & !u128::from(u64::MAX)).to_be_bytes(),
        },
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(times: u32, seconds: u64) -> Rate {
        Rate { times, per: Duration::from_secs(seconds) }
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_come_at_once_and_then_as_time_passes() {
        let (rates, three) = (Rates::default(), rate(3, 60));
        for _ in 0..3 {
            assert_eq!(rates.admit(three, "a"), Ok(()));
        }
        assert_eq!(rates.admit(three, "a"), Err(20));
        assert_eq!(rates.admit(three, "b"), Ok(()), "others are not in its way");
        tokio::time::advance(Duration::from_secs(15)).await;
        assert_eq!(rates.admit(three, "a"), Err(5), "whoever is refused waits no longer for it");
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(rates.admit(three, "a"), Ok(()));
        assert_eq!(rates.admit(three, "a"), Err(20));
        tokio::time::advance(Duration::from_secs(3600)).await;
        let admitted = (0..10).filter(|_| rates.admit(three, "a").is_ok()).count();
        assert_eq!(admitted, 3, "a long rest saves nothing up");
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_neither_lets_anybody_in_twice_nor_shuts_the_others_out() {
        let (rates, one) = (Rates::default(), rate(1, 60));
        let crowd = (0..10_000).filter(|n| rates.admit(one, *n).is_ok()).count();
        assert!(crowd > 9_000, "only {crowd} of ten thousand");
        assert!((0..10_000).all(|n| rates.admit(one, n).is_err()), "each had come already");
    }

    #[tokio::test]
    async fn workers_that_ask_at_once_do_not_multiply_the_limit() {
        let (rates, ten) = (Rates::default(), rate(10, 3600));
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let rates = rates.clone();
                std::thread::spawn(move || {
                    (0..100).filter(|_| rates.admit(ten, "x").is_ok()).count()
                })
            })
            .collect();
        let admitted: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(admitted, 10);
    }

    #[test]
    fn an_address_stands_for_its_network() {
        let key = |text: &str| client_key(text.parse().unwrap());
        assert_eq!(key("2001:db8:1:2::7"), key("2001:db8:1:2:ffff::1"));
        assert_ne!(key("2001:db8:1:2::7"), key("2001:db8:1:3::7"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
    }
}
