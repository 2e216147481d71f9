//! Assembles the parts: listens, dispatches each request, owns the snapshot and the workers. Only this module sees a whole App.
