//! Raises the number of files and sockets that the process may have open to what it is allowed at most.
//! Never asks for more than that: the hard limit is the operator's.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the soft limit to the hard one. Shells and service managers start programs with 1,024, which a proxy uses up
/// with a few hundred browsers.
pub fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    limit.current = limit.maximum;
    if setrlimit(Resource::Nofile, limit).is_err() {
        // It works on with what it has.
        tracing::warn!("cannot raise the limit of open files");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_what_is_allowed_at_most() {
        raise_limit();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
