"""Write all that is generated."""

from codegen.output import write

write()
