//! Logs and metrics, each declared once. Never a query string, a token or a cookie.
