"""Deployments as people keep them in files, of three clouds, as configs that simulate.

`documents` gets objects out of JSON and YAML, templates included; `reading` takes their fields; `sagemaker` (with
`cloudformation`, `within`, `jobs`, `autoscaling`, `components`, `rollouts` and `shapes`), `azure` (with `arm`) and
`vertex` know one platform's fields each; `read` puts it together.
"""
