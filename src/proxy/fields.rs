//! Which header fields stop here, in which direction. Names are compared in lower case.
//! Own fields are added only after these lists were applied, so that nobody can name them away.

/// The most connection options that are looked at; more is an attack on our time.
const MOST_OPTIONS: usize = 32;

/// What most names consist of. A table: every byte of every name is looked at.
#[expect(clippy::indexing_slicing, reason = "within bounds, and not at run time")]
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        plain[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'-';
        byte += 1;
    }
    plain
};

/// Fields about one connection, never forwarded (RFC 9110 §7.6.1), and those that frame a message: framing is made anew.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
            | "content-length"
    ) || name.starts_with("proxy-")
}

/// Whether a request field goes to an upstream, as far as its name says. What almost every request brings is known at a glance.
pub fn goes_up(name: &str) -> bool {
    let is_ordinary = matches!(
        name,
        "accept"
            | "accept-encoding"
            | "accept-language"
            | "cache-control"
            | "content-type"
            | "dnt"
            | "if-none-match"
            | "pragma"
            | "priority"
            | "range"
            | "sec-ch-ua"
            | "sec-ch-ua-mobile"
            | "sec-ch-ua-platform"
            | "user-agent"
    );
    is_ordinary || !(is_hop_by_hop(name) || stops_upstream(name))
}

/// The same of an answer's field and the browser.
pub fn comes_down(name: &str) -> bool {
    let is_ordinary = matches!(
        name,
        "cache-control"
            | "content-encoding"
            | "content-type"
            | "date"
            | "etag"
            | "last-modified"
            | "vary"
    );
    is_ordinary || !(is_hop_by_hop(name) || stops_downstream(name))
}

/// The field names that `Connection` lines list, lower case; `None` when there are too many.
pub fn connection_options<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Vec<String>> {
    let mut options = Vec::new();
    for option in lines.flat_map(|line| line.split(|byte| *byte == b',')) {
        if options.len() == MOST_OPTIONS {
            return None;
        }
        let name = String::from_utf8_lossy(option.trim_ascii()).to_ascii_lowercase();
        // The two that everybody sends name no field.
        if !name.is_empty() && name != "close" && name != "keep-alive" {
            options.push(name);
        }
    }
    Some(options)
}

/// Whether a `Content-Type` is that of an event stream, which has no end of its own.
pub fn is_event_stream(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}

/// Fields by which a request asks to be taken for one with another method.
pub fn names_a_method(name: &str) -> bool {
    const NAMES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];
    name.starts_with('x') && NAMES.iter().any(|known| spells(name, known))
}

/// Whether some server would take `name` for `known`, which has dashes: other marks may stand for them.
pub fn spells(name: &str, known: &str) -> bool {
    let mut pairs = name.bytes().zip(known.bytes());
    name.len() == known.len()
        && pairs.all(|(a, b)| a == b || (b == b'-' && !a.is_ascii_alphanumeric()))
}

/// Request fields that never reach an upstream, under any spelling that a CGI-like server would take for them:
/// `X_Forwarded_For` and `x.forwarded.for` become the same variable there.
fn stops_upstream(name: &str) -> bool {
    if name.bytes().all(|byte| PLAIN.get(usize::from(byte)) == Some(&true)) {
        return stops_by_name(name);
    }
    let dashed: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    stops_by_name(&dashed) || is_hop_by_hop(&dashed)
}

fn stops_by_name(name: &str) -> bool {
    is_credential(name) || is_identity(name) || is_browser_only(name) || is_ours(name)
}

/// What would stand beside our token, or overrule it.
fn is_credential(name: &str) -> bool {
    matches!(name, "authorization" | "dpop" | "cookie" | "cookie2")
}

/// What upstreams believe because "only the proxy sets it" (PX-06).
fn is_identity(name: &str) -> bool {
    const FAMILIES: [&str; 14] = [
        "x-forwarded",
        "x-user",
        "x-remote-",
        "x-client-cert",
        "x-ssl-",
        "ssl-client-",
        "x-auth-request-",
        "x-authenticated-",
        "x-original-",
        "x-amzn-oidc-",
        "x-amzn-mtls-",
        "x-ms-client-principal",
        "x-goog-authenticated-user-",
        "x-goog-iap-",
    ];
    matches!(
        name,
        "forwarded"
            | "x-real-ip"
            | "x-client-ip"
            | "x-cluster-client-ip"
            | "true-client-ip"
            | "cf-connecting-ip"
            | "fastly-client-ip"
            | "client-ip"
            | "remote-addr"
            | "remote-user"
            | "x-envoy-external-address"
            | "client-cert"
            | "client-cert-chain"
            | "x-arr-clientcert"
            | "x-rewrite-url"
            | "x-host"
    ) || (name.starts_with(['x', 's']) && FAMILIES.iter().any(|family| name.starts_with(family)))
}

/// What says something about the page in the browser, not about the call. `Origin` and `Referer` name the SPA while `Host`
/// names the upstream: frameworks would refuse such a pair as forged. Who may call was decided by the guard.
fn is_browser_only(name: &str) -> bool {
    matches!(name, "origin" | "referer" | "sec-purpose" | "purpose" | "expect" | "max-forwards")
        || name.starts_with("sec-fetch-")
        || name.starts_with("sec-websocket-")
        || name.starts_with("access-control-request-")
}

/// What we write ourselves.
fn is_ours(name: &str) -> bool {
    matches!(name, "host" | "via" | "x-request-id")
}

/// Response fields that never reach the browser: they steer the whole origin, or whoever stands between (PX-11).
fn stops_downstream(name: &str) -> bool {
    const FAMILIES: [&str; 4] =
        ["access-control-", "cross-origin-", "content-security-policy", "x-accel-"];
    // Says only "do not buffer", which event streams need.
    if name == "x-accel-buffering" {
        return false;
    }
    is_origin_policy(name)
        || is_for_a_cache_or_server(name)
        || FAMILIES.iter().any(|family| name.starts_with(family))
}

fn is_origin_policy(name: &str) -> bool {
    matches!(
        name,
        "set-cookie"
            | "set-cookie2"
            | "clear-site-data"
            | "strict-transport-security"
            | "public-key-pins"
            | "alt-svc"
            | "service-worker-allowed"
            | "service-worker"
            | "www-authenticate"
            | "authentication-info"
            | "dpop-nonce"
            | "x-content-type-options"
            | "x-frame-options"
            | "permissions-policy"
            | "feature-policy"
            | "referrer-policy"
            | "document-policy"
            | "origin-agent-cluster"
            | "timing-allow-origin"
            | "reporting-endpoints"
            | "report-to"
            | "nel"
            | "use-as-dictionary"
            | "activate-storage-access"
            | "integrity-policy"
            | "integrity-policy-report-only"
            | "observe-browsing-topics"
            | "accept-ch"
            | "critical-ch"
            | "refresh"
            | "speculation-rules"
            | "set-login"
            | "secure-session-registration"
            | "sec-session-registration"
            | "cloakroom-error"
            | "x-request-id"
    )
}

/// Targeted cache fields overrule `Cache-Control` (RFC 9213), send-file fields make a front server read its own disk,
/// and the rest tells what software runs behind us.
fn is_for_a_cache_or_server(name: &str) -> bool {
    matches!(
        name,
        "surrogate-control"
            | "edge-control"
            | "x-sendfile"
            | "x-lighttpd-send-file"
            | "server"
            | "via"
            | "x-powered-by"
            | "x-aspnet-version"
    ) || name.ends_with("cdn-cache-control")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    // proves: PX-06
    #[rstest]
    fn identity_fields_stop_in_every_spelling(
        #[values(
            "x-forwarded-for",
            "x_forwarded_for",
            "x-forwarded_for",
            "x.forwarded.for",
            "forwarded",
            "x-real-ip",
            "x_real_ip",
            "x-user",
            "x_user_id",
            "x-client-cert",
            "ssl_client_verify",
            "client-cert",
            "x-original-url"
        )]
        name: &str,
    ) {
        assert!(stops_upstream(name));
    }

    #[rstest]
    fn ordinary_fields_pass_upstream(
        #[values("accept", "content-type", "x-api-version", "api_key", "range", "traceparent")]
        name: &str,
    ) {
        assert!(!stops_upstream(name) && !is_hop_by_hop(name));
    }

    #[rstest]
    fn what_is_ordinary_is_nothing_that_stops(
        #[values(
            "accept",
            "accept-encoding",
            "accept-language",
            "cache-control",
            "content-type",
            "dnt",
            "if-none-match",
            "pragma",
            "priority",
            "range",
            "sec-ch-ua",
            "sec-ch-ua-mobile",
            "sec-ch-ua-platform",
            "user-agent",
            "content-encoding",
            "date",
            "etag",
            "last-modified",
            "vary",
            "authorization",
            "cookie",
            "host",
            "set-cookie",
            "connection",
            "x-request-id"
        )]
        name: &str,
    ) {
        assert_eq!(goes_up(name), !(stops_upstream(name) || is_hop_by_hop(name)));
        assert_eq!(comes_down(name), !(stops_downstream(name) || is_hop_by_hop(name)));
    }

    // proves: PX-11
    #[rstest]
    fn fields_that_steer_the_origin_stop_downstream(
        #[values(
            "set-cookie",
            "access-control-allow-origin",
            "clear-site-data",
            "strict-transport-security",
            "alt-svc",
            "service-worker-allowed",
            "cloakroom-error",
            "www-authenticate",
            "x-accel-redirect",
            "cloudflare-cdn-cache-control"
        )]
        name: &str,
    ) {
        assert!(stops_downstream(name));
    }

    // proves: PX-05
    #[test]
    fn connection_options_are_read_from_all_lines_without_case_and_bounded() {
        let lines: [&[u8]; 2] = [b"close, X-Secret ,,", b"Cookie"];
        let expected = Some(vec!["x-secret".to_owned(), "cookie".to_owned()]);
        assert_eq!(connection_options(lines.into_iter()), expected);
        let flood = "a,".repeat(100);
        assert_eq!(connection_options([flood.as_bytes()].into_iter()), None);
    }

    proptest! {
        // proves: PX-05
        #[test]
        fn any_connection_lines_give_lower_case_names_within_the_bound(
            lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..6),
            named in "[A-Za-z-]{1,20}",
        ) {
            let all = |lines: &[Vec<u8>]| connection_options(lines.iter().map(Vec::as_slice));
            let count = lines.iter().flat_map(|line| line.split(|byte| *byte == b',')).count();
            let Some(names) = all(&lines) else {
                prop_assert!(count > MOST_OPTIONS, "{} options are few", count);
                return Ok(());
            };
            prop_assert!(names.len() <= MOST_OPTIONS);
            for name in &names {
                prop_assert!(!name.is_empty() && !name.bytes().any(|byte| byte.is_ascii_uppercase()));
                prop_assert!(name != "close" && name != "keep-alive");
            }
            // A name is found wherever it stands.
            let mut more = lines;
            more.insert(0, format!(" {named}\t").into_bytes());
            if let Some(names) = all(&more) {
                let wanted = named.to_ascii_lowercase();
                let names_none = wanted == "close" || wanted == "keep-alive";
                prop_assert!(names_none || names.contains(&wanted), "{:?}", names);
            }
        }
    }
}
