//! One connection to Redis, shared by many commands, made anew when it is lost. While Redis is away commands fail at once
//! instead of queueing: whoever asks decides what that means.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, FromRedisValue,
    IntoConnectionInfo as _, Pipeline, RedisConnectionInfo, RedisError, TlsCertificates,
};
use tokio::time::{Instant, timeout};

use crate::config::{RedisAddress, RedisConfig};
use crate::telemetry::Metrics;

/// Between two tries to connect: the first after this, later ones after longer pauses.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Why the store gave no answer. Says nothing of what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("redis.ca_file holds no usable certificate")]
    Certificate,
    #[error("Redis cannot be reached")]
    Unreachable,
    #[error(
        "Redis refuses: {0}; check the user's rights, its memory limit and whether it is a replica"
    )]
    Refused(String),
}

/// Why one attempt failed.
pub enum Failure {
    /// The connection had gone: perhaps before the commands reached the other end, perhaps after.
    Gone,
    Error(StoreError),
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Gone => Self::Unreachable,
            Failure::Error(error) => error,
        }
    }
}

/// The connection; clones share it.
#[derive(Clone)]
pub struct Link(Arc<Inner>);

struct Inner {
    client: Client,
    /// Bounds connecting, and each command.
    limit: Duration,
    /// Only one task connects, the others wait for it.
    connecting: tokio::sync::Mutex<Pause>,
    current: Mutex<Option<(u64, MultiplexedConnection)>>,
    metrics: Metrics,
}

/// When a connection may be tried again.
struct Pause {
    until: Instant,
    length: Duration,
    made: u64,
}

impl Link {
    /// Prepares it; the first command connects.
    pub fn new(config: &RedisConfig, metrics: Metrics) -> Result<Self, StoreError> {
        let pause = Pause { until: Instant::now(), length: FIRST_PAUSE, made: 0 };
        Ok(Self(Arc::new(Inner {
            client: client(config)?,
            limit: config.timeout,
            connecting: tokio::sync::Mutex::new(pause),
            current: Mutex::new(None),
            metrics,
        })))
    }

    /// Sends the commands of `pipeline` together, and gives what they answer. They are sent once more when the connection
    /// turns out to be gone, so sending them twice must do no more than once.
    pub async fn ask<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, StoreError> {
        match self.ask_once(pipeline).await {
            Err(Failure::Gone) => {
                self.ask_once(pipeline).await.map_err(|_| StoreError::Unreachable)
            }
            answer => answer.map_err(StoreError::from),
        }
    }

    /// The same for what must not be sent twice.
    pub async fn ask_once<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, Failure> {
        let connection = self.connection().await;
        let (number, mut connection) =
            connection.inspect_err(|_| self.failed()).map_err(Failure::Error)?;
        let asked = pipeline.query_async(&mut connection);
        // A connection whose other end is silently gone, or stopped, never says so.
        let failure = match timeout(self.0.limit, asked).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => refusal(&error).map_or(Failure::Gone, Failure::Error),
            Err(_) => Failure::Error(StoreError::Unreachable),
        };
        self.failed();
        if !matches!(failure, Failure::Error(StoreError::Refused(_))) {
            self.drop_connection(number);
        }
        Err(failure)
    }

    /// A connection of its own, for commands that wait.
    pub async fn own_connection(
        &self,
        limit: Duration,
    ) -> Result<MultiplexedConnection, StoreError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.0.limit))
            .set_response_timeout(Some(limit));
        let connect = self.0.client.get_multiplexed_async_connection_with_config(&config);
        match timeout(self.0.limit, connect).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(refusal(&error).unwrap_or(StoreError::Unreachable)),
            Err(_) => Err(StoreError::Unreachable),
        }
    }

    async fn connection(&self) -> Result<(u64, MultiplexedConnection), StoreError> {
        if let Some(known) = self.current() {
            return Ok(known);
        }
        let mut pause = self.0.connecting.lock().await;
        if let Some(made_meanwhile) = self.current() {
            return Ok(made_meanwhile);
        }
        if Instant::now() < pause.until {
            return Err(StoreError::Unreachable);
        }
        match self.own_connection(self.0.limit).await {
            Ok(connection) => {
                pause.made += 1;
                pause.length = FIRST_PAUSE;
                let known = (pause.made, connection);
                *self.lock() = Some(known.clone());
                Ok(known)
            }
            Err(error) => {
                pause.until = Instant::now() + pause.length;
                pause.length = (pause.length * 2).min(LONGEST_PAUSE);
                Err(error)
            }
        }
    }

    fn current(&self) -> Option<(u64, MultiplexedConnection)> {
        self.lock().clone()
    }

    /// Forgets the connection `number`, unless it has been replaced.
    fn drop_connection(&self, number: u64) {
        let mut current = self.lock();
        if current.as_ref().is_some_and(|(known, _)| *known == number) {
            *current = None;
        }
    }

    fn failed(&self) {
        self.0.metrics.redis_failure();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(u64, MultiplexedConnection)>> {
        self.0.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What Redis itself said, if it was Redis that failed the command. Its words for a wrong password or a full memory help;
/// they never repeat what was sent.
pub(super) fn refusal(error: &RedisError) -> Option<StoreError> {
    // A server that is loading its data, or has just been demoted, is an outage that passes.
    let passes = matches!(error.code(), Some("LOADING" | "MASTERDOWN" | "BUSY" | "TRYAGAIN"));
    let code = error.code().filter(|_| !passes)?;
    Some(StoreError::Refused(code.to_owned()))
}

fn client(config: &RedisConfig) -> Result<Client, StoreError> {
    let mut settings = RedisConnectionInfo::default()
        .set_db(i64::from(config.database))
        .set_lib_name("cloakroom", env!("CARGO_PKG_VERSION"));
    if let Some(user) = &config.username {
        settings = settings.set_username(user);
    }
    if let Some(password) = &config.password {
        settings = settings.set_password(password.expose());
    }
    let tcp = TcpSettings::default().set_nodelay(true);
    let addr = match &config.address {
        RedisAddress::Tcp { host, port, tls: false } => ConnectionAddr::Tcp(host.clone(), *port),
        RedisAddress::Tcp { host, port, tls: true } => ConnectionAddr::TcpTls {
            host: host.clone(),
            port: *port,
            insecure: false,
            tls_params: None,
        },
        RedisAddress::Unix(path) => ConnectionAddr::Unix(path.clone()),
    };
    let tls = matches!(addr, ConnectionAddr::TcpTls { .. });
    let info: ConnectionInfo = addr
        .into_connection_info()
        .map_err(|_| StoreError::Unreachable)?
        .set_redis_settings(settings)
        .set_tcp_settings(tcp);
    let client = if tls {
        let certificates = TlsCertificates { client_tls: None, root_cert: config.ca.clone() };
        Client::build_with_tls(info, certificates)
    } else {
        Client::open(info)
    };
    client.map_err(|_| StoreError::Certificate)
}
