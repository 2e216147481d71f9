//! `oidc::Provider` against a hostile authorization server, over real HTTP.

mod discovery;
mod fapi2;
mod id_token;
pub mod keys;
mod login;
mod logout;
mod pushed;
mod refresh;
mod setup;
mod token_answers;
mod userinfo;
mod wire;
