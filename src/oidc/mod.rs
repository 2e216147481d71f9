//! Everything said to the authorization server, one protocol message per file. Never imports the web server; never logs what it was told.
