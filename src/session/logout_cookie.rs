//! The ticket that carries the ID token from `POST /logout` to the navigation that ends the session at the
//! authorization server: Strict, two minutes, path-scoped, used once. JavaScript never sees what is in it.

use std::time::Duration;

use super::codec::{decode_timed, encode_timed};
use super::cookies::SessionCookies;
use super::jar::{MOST_PLANTED, values};
use super::key_ring::Purpose;
use super::registration::Registration;
use super::set_cookie::{Scope, delete, set};
use crate::clock::Timestamp;
use crate::secret::Secret;

/// Life of a ticket.
const LIFE: Duration = Duration::from_secs(120);

/// A logout that still has to be told to the authorization server.
pub struct LogoutTicket {
    /// Who is to be told.
    pub registration: Registration,
    /// `None` when the ID token did not fit the cookie budget.
    pub id_token: Option<Secret<String>>,
}

impl SessionCookies {
    /// The `Set-Cookie` line of a new ticket for a session of `registration`.
    pub fn seal_logout_ticket(
        &self,
        registration: Registration,
        id_token: Option<&Secret<String>>,
        now: Timestamp,
    ) -> String {
        let plain = Secret::new(encode_timed(id_token.map(|token| token.expose().as_str()), now));
        match self.seal_for(registration, Purpose::LogoutTicket, plain.expose(), None) {
            Ok(value) => {
                set(&self.names.logout_ticket, &value, self.ticket_scope(), LIFE.as_secs())
            }
            Err(_) => self.clear_logout_ticket(),
        }
    }

    /// The ticket in `jar`, if it is authentic and fresh.
    pub fn open_logout_ticket(&self, jar: &[&str], now: Timestamp) -> Option<LogoutTicket> {
        values(jar, &self.names.logout_ticket).take(MOST_PLANTED).find_map(|value| {
            let (plain, owner) = self.open_any(Purpose::LogoutTicket, value, None).ok()?;
            let (id_token, sealed) = decode_timed(plain.expose())?;
            let registration = owner.registration;
            (sealed.plus(LIFE) > now).then_some(LogoutTicket { registration, id_token })
        })
    }

    /// Deletes the ticket.
    pub fn clear_logout_ticket(&self) -> String {
        delete(&self.names.logout_ticket, self.ticket_scope())
    }

    fn ticket_scope(&self) -> Scope<'_> {
        Scope { path: &self.ticket_path, ..Scope::STRICT }
    }
}
