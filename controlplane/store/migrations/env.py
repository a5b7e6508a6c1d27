"""What alembic runs for each upgrade: the caller's connection and transaction, and no logging set up."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
