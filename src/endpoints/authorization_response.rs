//! The authorization response: each parameter at most once, plain or signed as the provider was asked for. What it says is believed after
//! its issuer, or its signature, and not before.

use std::sync::Arc;

use super::login_failure::login_code;
use crate::edge::AuthError;
use crate::oidc::{Provider, claimed_state};
use crate::session::Registration;
use crate::tokens::OneProvider;

/// An answer to a login (RFC 6749 §4.1.2, §3.1).
pub struct Reply {
    /// Whose callback it came to, if anybody's.
    pub came_to: Option<Registration>,
    /// Of a signed one: as it says, unverified.
    pub state: String,
    said: Said,
}

enum Said {
    Plain {
        iss: Option<String>,
        outcome: Outcome,
    },
    /// The value of `response`.
    Signed(String),
}

enum Outcome {
    Code(String),
    Error(AuthError),
}

impl Reply {
    /// Reads what came to the callback of `came_to`; `None` if it is no answer to a login, or not in the form that was asked for.
    pub fn parse(
        parameters: Vec<(String, String)>,
        came_to: Option<&Arc<OneProvider>>,
    ) -> Option<Self> {
        let registration = came_to.map(|provider| provider.registration);
        if came_to.is_some_and(|provider| provider.provider.signs_answers()) {
            return Self::signed(parameters, registration);
        }
        let [state, iss, code, error] = only(parameters, ["state", "iss", "code", "error"])?;
        let said = Said::Plain { iss, outcome: outcome(code, error)? };
        Some(Self { came_to: registration, state: state?, said })
    }

    /// Nothing beside the signed parameter may say what it says (CB-13).
    fn signed(parameters: Vec<(String, String)>, came_to: Option<Registration>) -> Option<Self> {
        let names = ["response", "state", "iss", "code", "error"];
        let [response, None, None, None, None] = only(parameters, names)? else { return None };
        let response = response?;
        let state = claimed_state(&response)?;
        Some(Self { came_to, state, said: Said::Signed(response) })
    }

    /// The code, once it is known that the provider has said so (CB-03: on errors, too).
    pub async fn code(self, provider: &Provider) -> Result<String, AuthError> {
        let outcome = match self.said {
            Said::Plain { iss, outcome } => {
                provider.check_response_iss(iss.as_deref()).await.map_err(login_code)?;
                outcome
            }
            Said::Signed(response) => {
                let parameters = provider.signed_response(&response).await.map_err(login_code)?;
                let read = only(parameters, ["state", "code", "error"]);
                let [state, code, error] = read.ok_or(AuthError::LoginFailed)?;
                if state.as_ref() != Some(&self.state) {
                    return Err(AuthError::LoginStateMismatch);
                }
                outcome(code, error).ok_or(AuthError::LoginFailed)?
            }
        };
        match outcome {
            Outcome::Code(code) => Ok(code),
            Outcome::Error(error) => Err(error),
        }
    }
}

/// The values of these parameters; `None` if one comes twice.
fn only<const N: usize>(
    parameters: Vec<(String, String)>,
    names: [&str; N],
) -> Option<[Option<String>; N]> {
    let mut found = [const { None }; N];
    for (name, value) in parameters {
        let place = names.iter().position(|known| *known == name);
        let Some(slot) = place.and_then(|place| found.get_mut(place)) else { continue };
        if slot.replace(value).is_some() {
            return None;
        }
    }
    Some(found)
}

/// A code or an error, never both and never neither.
fn outcome(code: Option<String>, error: Option<String>) -> Option<Outcome> {
    match (code, error) {
        (Some(code), None) if !code.is_empty() => Some(Outcome::Code(code)),
        (None, Some(error)) => Some(Outcome::Error(match error.as_str() {
            "access_denied" => AuthError::LoginDenied,
            "login_required"
            | "interaction_required"
            | "consent_required"
            | "account_selection_required" => AuthError::InteractionNeeded,
            "temporarily_unavailable" | "server_error" => AuthError::ProviderUnavailable,
            _ => AuthError::LoginFailed,
        })),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
