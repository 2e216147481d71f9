//! Reads what other instances tell, on a connection of its own: ended sessions from the beginning first, then what comes.
//! Looks with every round whether the data is still the same. Starts over after every failure.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use redis::aio::MultiplexedConnection;
use tokio::time::sleep;

use super::super::known_as::Key;
use super::feed::Shared;
use super::link::{StoreError, refusal};
use super::scripts::EPOCH;
use crate::secret::Random;

/// Entries read at once.
const PAGE: usize = 4_096;
/// Longest wait for news: so often contact is proved.
const LISTEN: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const BEGINNING: &str = "0-0";

type Fields = HashMap<String, Vec<u8>>;
/// What a stream holds under one number; `None` is no line of ours.
type Numbered = (String, Option<Vec<u8>>);

/// Follows all streams of one process.
pub(super) struct Follower {
    shared: Arc<Shared>,
    /// The data set that was read.
    epoch: Option<String>,
    /// Up to where each stream was read.
    cursors: Vec<String>,
}

/// Why following ended.
enum Ended {
    Failed(StoreError),
    /// There is another data set: begin again at once.
    Replaced,
}

impl Follower {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, epoch: None, cursors: Vec::new() }
    }

    pub(super) async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        let mut told = None;
        loop {
            let before = self.epoch.clone();
            match self.follow().await {
                Ended::Replaced => pause = FIRST_PAUSE,
                Ended::Failed(error) => {
                    if told.as_ref() != Some(&error) {
                        tracing::warn!(%error, "not hearing from Redis; trying again");
                    }
                    told = Some(error);
                }
            }
            if self.epoch != before {
                (pause, told) = (FIRST_PAUSE, None);
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn follow(&mut self) -> Ended {
        let limit = LISTEN + self.shared.config.timeout;
        let mut connection = match self.shared.link.own_connection(limit).await {
            Ok(connection) => connection,
            Err(error) => return Ended::Failed(error),
        };
        match self.listen(&mut connection).await {
            Ok(()) => Ended::Replaced,
            Err(error) => Ended::Failed(refusal(&error).unwrap_or(StoreError::Unreachable)),
        }
    }

    /// Until there is another data set.
    async fn listen(&mut self, connection: &mut MultiplexedConnection) -> redis::RedisResult<()> {
        let epoch = self.current_epoch(connection).await?;
        if self.epoch.as_ref() != Some(&epoch) {
            self.read_all(connection).await?;
            self.epoch = Some(epoch.clone());
        }
        loop {
            // An app that came while the process serves.
            let keys = self.shared.keys();
            for (at, key) in keys.iter().enumerate().skip(self.cursors.len()) {
                self.cursors.push(BEGINNING.to_owned());
                self.read(connection, at, key).await?;
            }
            self.shared.heard();
            let mut asked = redis::cmd("XREAD");
            let wait = LISTEN.min(self.shared.config.stale_after / 3).as_millis();
            asked.arg("COUNT").arg(PAGE).arg("BLOCK").arg(u64::try_from(wait).unwrap_or(1_000));
            asked.arg("STREAMS").arg(&keys).arg(&self.cursors);
            let news: Value = asked.query_async(connection).await?;
            for (key, lines) in streams(news) {
                if let Some(at) = keys.iter().position(|known| *known == key) {
                    self.take(at, lines);
                }
            }
            if self.current_epoch(connection).await? != epoch {
                return Ok(());
            }
        }
    }

    /// Reads every stream from its beginning. What a replaced data set lacks is put back.
    async fn read_all(&mut self, connection: &mut MultiplexedConnection) -> redis::RedisResult<()> {
        let keys = self.shared.keys();
        self.cursors = vec![BEGINNING.to_owned(); keys.len()];
        let is_loss = self.epoch.is_some();
        for (at, key) in keys.iter().enumerate() {
            let known = self.read(connection, at, key).await?;
            if let Some(known) = known.filter(|_| is_loss) {
                self.shared.restore(at, &known);
            }
        }
        if is_loss {
            self.shared.lost_data();
        }
        Ok(())
    }

    /// Reads one stream up to its end; gives the names of the ended sessions in it, if it has such.
    async fn read(
        &mut self,
        connection: &mut MultiplexedConnection,
        at: usize,
        key: &str,
    ) -> redis::RedisResult<Option<HashSet<Key>>> {
        if !self.shared.counts_whole(at) {
            self.skip_to_the_end(connection, at, key).await?;
            return Ok(None);
        }
        let mut known = HashSet::new();
        loop {
            let mut asked = redis::cmd("XREAD");
            let cursor = self.cursors.get(at).map_or(BEGINNING, String::as_str);
            asked.arg("COUNT").arg(PAGE).arg("STREAMS").arg(key).arg(cursor);
            let page: Value = asked.query_async(connection).await?;
            let Some((_, lines)) = streams(page).into_iter().next() else { return Ok(Some(known)) };
            known.extend(self.take(at, lines));
        }
    }

    /// What was said before is of no interest.
    async fn skip_to_the_end(
        &mut self,
        connection: &mut MultiplexedConnection,
        at: usize,
        key: &str,
    ) -> redis::RedisResult<()> {
        let mut asked = redis::cmd("XREVRANGE");
        asked.arg(key).arg("+").arg("-").arg("COUNT").arg(1);
        let last: Vec<(String, Fields)> = asked.query_async(connection).await?;
        if let (Some((id, _)), Some(cursor)) = (last.into_iter().next(), self.cursors.get_mut(at)) {
            *cursor = id;
        }
        Ok(())
    }

    fn take(&mut self, at: usize, lines: Vec<Numbered>) -> Vec<Key> {
        if let (Some((last, _)), Some(cursor)) = (lines.last(), self.cursors.get_mut(at)) {
            cursor.clone_from(last);
        }
        let lines: Vec<Vec<u8>> = lines.into_iter().filter_map(|(_, line)| line).collect();
        self.shared.learn(at, &lines)
    }

    async fn current_epoch(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> redis::RedisResult<String> {
        let mut asked = redis::cmd("EVAL");
        asked.arg(EPOCH).arg(1).arg(&self.shared.epoch).arg(Random::system().token::<16>());
        asked.query_async(connection).await
    }
}

/// The lines of an answer to `XREAD`, by stream.
fn streams(answer: Value) -> Vec<(String, Vec<Numbered>)> {
    let streams: Vec<(String, Vec<(String, Fields)>)> =
        redis::from_redis_value(answer).unwrap_or_default();
    let line = |(id, mut fields): (String, Fields)| (id, fields.remove("e"));
    streams.into_iter().map(|(key, lines)| (key, lines.into_iter().map(line).collect())).collect()
}
