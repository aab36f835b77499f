  x_env AS environment, -- Environment; null where nothing says it.
  x_app AS app, -- Application; null where nothing says it.
