// Replies and commands are part of this module's interface: who imports it sees them, and only it
// imports the codec. The language has no `package` form of a re-export.
@_exported public import Hiredis
