//! Who can log in at the embedded authorization server, and what it says about them. No passwords, no others.

use serde_json::{Map, Value, json};

/// A demo user.
#[derive(Debug)]
pub struct User {
    /// Subject and button value.
    pub sub: &'static str,
    pub name: &'static str,
    pub email: &'static str,
    /// A claim for routing and rules by region.
    pub region: &'static str,
}

/// Everybody there is.
pub static USERS: [User; 2] = [
    User { sub: "alice", name: "Alice Adams", email: "alice@example.com", region: "eu" },
    User { sub: "bob", name: "Bob Brown", email: "bob@example.com", region: "us" },
];

impl User {
    /// The user with this subject.
    pub fn find(sub: &str) -> Option<&'static Self> {
        USERS.iter().find(|user| user.sub == sub)
    }

    /// Whether a `login_hint` means this user: the subject or the mail address.
    pub fn is_hinted_by(&self, hint: &str) -> bool {
        hint == self.sub || hint.eq_ignore_ascii_case(self.email)
    }

    /// The claims that `scope` opens, beside `sub` (OpenID Connect Core 5.4).
    pub fn claims(&self, scope: &str) -> Map<String, Value> {
        let mut claims = Map::new();
        for word in scope.split(' ') {
            match word {
                "profile" => {
                    claims.insert("name".to_owned(), json!(self.name));
                    claims.insert("region".to_owned(), json!(self.region));
                }
                "email" => {
                    claims.insert("email".to_owned(), json!(self.email));
                    claims.insert("email_verified".to_owned(), json!(true));
                }
                _ => {}
            }
        }
        claims
    }
}
