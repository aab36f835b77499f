  x_project AS project, -- Project that caused the cost.
  x_task AS task, -- Task or work item that caused it.
  x_pipeline_run AS pipeline_run, -- Pipeline run that caused it, as `ado_build.id`.
  x_agent AS agent, -- Agent of AI that caused it.
  x_app AS app, -- Application.
