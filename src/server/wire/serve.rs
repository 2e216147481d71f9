//! Binds the wire to listeners: workers, TLS, and the way down are actix-server's; each worker makes its handler on its own thread, and
//! each connection becomes a task there.

use std::io::Result;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::rc::Rc;

use actix_server::{Server, ServerBuilder};
use actix_service::{ServiceFactory, ServiceFactoryExt as _, fn_service};
use actix_tls::accept::rustls_0_23::{Acceptor, TlsStream};
use actix_web::dev::Payload;
use tokio::net::{TcpStream, UnixStream};

use super::Limits;
use super::closing::Closing;
use super::connection::{Connection, Wire};
use super::desk::Desks;
use crate::edge::{Reply, Request};
use crate::proxy::Drain;
use crate::server::transport::Transport;

/// Where requests come from.
pub struct Listeners {
    pub tcp: TcpListener,
    /// Spoken over `tcp`, if there is one.
    pub tls: Option<rustls::ServerConfig>,
    pub unix: Option<UnixListener>,
}

/// Adds the listeners to a server. `handlers` makes the handler of each worker, and for each listener one.
///
/// # Errors
/// A listener that is of no use.
pub fn serve<H, F>(
    server: ServerBuilder,
    listeners: Listeners,
    limits: Limits,
    drain: &Drain,
    handlers: impl Fn() -> H + Clone + Send + 'static,
) -> Result<Server>
where
    H: Fn(Request, Payload) -> F + 'static,
    F: Future<Output = Reply> + 'static,
{
    let drain = drain.clone();
    let wire = move || {
        let closing = Closing::default();
        let (told, drain) = (closing.clone(), drain.clone());
        // Ends with the worker.
        tokio::task::spawn_local(async move {
            drain.begun().await;
            told.begin();
        });
        Rc::new(Wire { desks: Desks::new(handlers()), limits, closing })
    };
    let of_unix = wire.clone();
    let server = match listeners.unix {
        Some(unix) => server.listen_uds("unix", unix, move || of::<UnixStream>(of_unix()))?,
        None => server,
    };
    let server = match listeners.tls {
        Some(tls) => {
            let mut acceptor = Acceptor::new(tls);
            acceptor.set_handshake_timeout(limits.head);
            server.listen("tls", listeners.tcp, move || {
                let secured = acceptor.clone().map_err(|_handshake| ());
                secured.and_then(of::<TlsStream<TcpStream>>(wire()))
            })?
        }
        None => server.listen("tcp", listeners.tcp, move || of::<TcpStream>(wire()))?,
    };
    Ok(server.run())
}

/// Serves each connection that comes.
fn of<T: Transport + 'static>(
    wire: Rc<Wire>,
) -> impl ServiceFactory<T, Config = (), Response = (), Error = (), InitError = ()> {
    fn_service(move |io: T| {
        io.tune(wire.limits.write);
        let connection = Connection::new(Rc::clone(&wire), io);
        async move {
            connection.serve().await;
            Ok(())
        }
    })
}
