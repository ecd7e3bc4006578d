"""The forms of layers in which XLA is fast on a CPU, each behind the name of the plain one.

Every form equals the plain one, with its gradients, and is tested against it. Figures are of an AMD EPYC unless said
otherwise; elsewhere than on a CPU most forms are the plain ones (`lax.platform_dependent`).
"""
